package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// folder is one as FMULTISTATUS tells of it.
type folder struct {
	external, id string
	metas        []wire.Head
}

// multiStatus lists the folders of a user, none if there is no such user. asked is when.
func (c *conn) multiStatus(user string) (folders []folder, asked time.Time, err error) {
	asked = time.Now()
	if err := c.request("FMULTISTATUS", user); err != nil {
		return nil, asked, fmt.Errorf("%s: list of folders: %w", user, err)
	}
	_, err = c.lines("FMULTISTATUS", func(w []string) error {
		switch n := len(folders) - 1; {
		case w[0] == "FOLDER" && len(w) == 4:
			folders = append(folders, folder{external: w[1], id: w[2]})
		case w[0] == "STAT" && len(w) == 6 && n >= 0 && w[1] == folders[n].external:
			h, err := head(w[1:])
			if err != nil {
				return err
			}
			folders[n].metas = append(folders[n].metas, h)
		default:
			return unexpected(w)
		}
		return nil
	})
	return folders, asked, err
}

// plainMailboxes lists a user's mailboxes by the names that the user sees.
func (s *Source) plainMailboxes(c *conn, user string) ([]source.Mailbox, error) {
	folders, asked, err := c.multiStatus(user)
	if err != nil {
		return nil, err
	}
	if len(folders) == 0 {
		return nil, fmt.Errorf("%s: %w", user, source.ErrNoUser)
	}
	conf, err := s.names.of(c, user)
	if err != nil {
		return nil, err
	}
	var boxes []source.Mailbox
	for _, f := range folders {
		name := conf.Internal(f.external, user)
		if again, ok := conf.External(name, user); !ok || again != f.external {
			return nil, fmt.Errorf("%s: has a folder %q, which is no name in the namespace of the server", user, f.external)
		}
		for _, m := range f.metas {
			s.clock.saw(m.Mtime)
		}
		boxes = append(boxes, source.Mailbox{Mailbox: cyrus.Mailbox{Name: name, UniqueID: f.id}, Archived: name.Archived()})
	}
	for i, f := range folders {
		boxes[i].Fingerprint = s.clock.fingerprint(asked, f.id, f.metas)
	}
	slices.SortFunc(boxes, func(a, b source.Mailbox) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Archived, b.Archived))
	})
	return boxes, nil
}

// rank puts the INBOX first.
func rank(m source.Mailbox) int {
	if m.Archived == "INBOX" {
		return 1
	}
	return 0
}

// plainUserFiles reads a user's files.
func (s *Source) plainUserFiles(ctx context.Context, user string, known map[string]cyrus.GUID) ([]source.File, error) {
	files, err := s.meta(ctx, user, []string{"seen", "sub"})
	if err == nil && len(files) == 0 {
		_, _, err = s.state(ctx, user) // perhaps there is no such user
	}
	for i, f := range files {
		if digest, ok := known[f.Name]; ok && digest == f.SHA1 {
			files[i].Data = nil
		}
	}
	return files, err
}

// plainVanished asks for a second list, the first being the one that lacks these mailboxes, and for each of them by its name: backupcyrusd
// looks a name up otherwise than it lists them. What has no name cannot be asked for.
func (s *Source) plainVanished(c *conn, user string, had []source.Known) ([]error, error) {
	conf, err := s.names.of(c, user)
	if err != nil {
		return nil, err
	}
	folders, _, err := c.multiStatus(user)
	if err != nil {
		return nil, err
	}
	listed, ids := map[string]bool{}, map[string]bool{}
	for _, f := range folders {
		listed[f.external] = true
		ids[f.id] = f.id != ""
	}
	why := make([]error, len(had))
	for i, k := range had {
		external, ok := conf.External(source.InternalName(user, k.Archived), user)
		switch {
		case listed[external]:
			why[i] = fmt.Errorf("%s: is listed now", k.Archived)
		case ids[k.UniqueID]:
		case !ok:
			why[i] = fmt.Errorf("%s: has no name in the namespace of the server, and cannot be asked for", k.Archived)
		default:
			if why[i], err = c.noFolder(user, external); err != nil {
				return nil, err
			}
		}
	}
	return why, nil
}

// noFolder asks for a folder. why is nil if there is none.
func (c *conn) noFolder(user, external string) (why, err error) {
	err = c.request("FMETA", user, external)
	if err == nil {
		_, err = c.lines("FMETA", func([]string) error { return nil })
		return fmt.Errorf("%s: is not listed, and is there", external), err
	}
	var no refused
	if !errors.As(err, &no) {
		return nil, err
	}
	if no.says("no", "such", "folder") {
		return nil, nil
	}
	return no, nil
}
