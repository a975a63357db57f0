package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// Users lists all users. backupcyrusd knows neither partitions nor mailboxes of no user.
func (s *Source) Users(ctx context.Context) (users []source.User, err error) {
	s.stated.forget()
	var problems []error
	err = s.ask(ctx, func(c *conn) error {
		users, problems = nil, nil
		verb, words := "USERS", 2
		if s.extended {
			verb, words = "UNITS", 3
		}
		if err := c.request(verb); err != nil {
			return err
		}
		_, err := c.lines(verb, func(w []string) error {
			switch {
			case w[0] == "USER" && len(w) == words:
				users = append(users, source.User{Name: w[1]})
				if s.extended {
					users[len(users)-1].DriveUnit = w[2]
				}
			case w[0] == "PROBLEM" && len(w) == 2 && s.extended:
				problems = append(problems, errors.New(w[1]))
			default:
				return unexpected(w)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("users of %s: %w", s.name, err)
	}
	slices.SortFunc(users, func(a, b source.User) int { return cmp.Compare(a.Name, b.Name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = problems
	return users, nil
}

// Mailboxes lists a user's mailboxes.
func (s *Source) Mailboxes(ctx context.Context, user string) ([]source.Mailbox, error) {
	if boxes := s.stated.take(user); boxes != nil {
		return boxes, nil
	}
	_, boxes, err := s.state(ctx, user)
	return boxes, err
}

// UserFiles are asked for by their digests first, with the extension. What it says of mailboxes is kept for Mailboxes.
func (s *Source) UserFiles(ctx context.Context, user string, known map[string]cyrus.GUID) ([]source.File, error) {
	if !s.extended {
		return s.plainUserFiles(ctx, user, known)
	}
	files, boxes, err := s.state(ctx, user)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, f := range files {
		if digest, ok := known[f.Name]; f.Err == nil && !(ok && digest == f.SHA1) {
			changed = append(changed, f.Name)
		}
	}
	if len(changed) > 0 {
		now, err := s.meta(ctx, user, changed)
		if err != nil {
			return nil, err
		}
		files = slices.DeleteFunc(files, func(f source.File) bool { return slices.Contains(changed, f.Name) })
		files = append(files, now...)
		slices.SortFunc(files, func(a, b source.File) int { return cmp.Compare(a.Name, b.Name) })
	}
	s.stated.put(user, boxes)
	return files, nil
}

// state asks for all that a backup needs of an unchanged user.
func (s *Source) state(ctx context.Context, user string) (files []source.File, boxes []source.Mailbox, err error) {
	err = s.ask(ctx, func(c *conn) (err error) {
		files, boxes = nil, nil
		if !s.extended {
			boxes, err = s.plainMailboxes(c, user)
			return err
		}
		if err := c.request("STATE", user, waited(ctx)); err != nil {
			return refusal(ctx, user, err)
		}
		done, err := c.lines("STATE", func(w []string) error {
			switch {
			case w[0] == "FILE" && len(w) == 3:
				digest, err := cyrus.ParseGUID(w[2])
				if err != nil {
					return unexpected(w)
				}
				files = append(files, source.File{Name: w[1], SHA1: digest})
			case w[0] == "BAD" && len(w) == 3:
				files = append(files, source.File{Name: w[1], Err: errors.New(w[2])})
			case w[0] == "MAILBOX" && len(w) == 6:
				name := cyrus.Name(w[1])
				boxes = append(boxes, source.Mailbox{
					Mailbox:  cyrus.Mailbox{Name: name, UniqueID: w[2], Partition: w[3], Legacy: w[4] == wire.ByName},
					Archived: name.Archived(), Fingerprint: w[5],
				})
			default:
				return unexpected(w)
			}
			return nil
		})
		if err == nil {
			addWaited(ctx, done)
		}
		return err
	})
	return files, boxes, err
}

// meta asks for files of a user; one that is gone by now is left out.
func (s *Source) meta(ctx context.Context, user string, names []string) (files []source.File, err error) {
	err = s.ask(ctx, func(c *conn) error {
		files = nil
		if err := c.request("META", append([]string{user}, names...)...); err != nil {
			return refusal(ctx, user, err)
		}
		for _, name := range names {
			f, err := c.userFile(name)
			switch {
			case err != nil:
				return err
			case f.Name != "":
				s.clock.saw(f.Mtime)
				files = append(files, f)
			}
		}
		_, err := c.lines("META", unexpected)
		return err
	})
	return files, err
}

// userFile reads what is answered for one file, which may be that there is none.
func (c *conn) userFile(name string) (source.File, error) {
	words, err := c.line()
	switch {
	case err != nil:
		return source.File{}, err
	case words[0] == "NO" && refused{words[1:]}.says("no", "such", "file"):
		return source.File{}, nil
	case words[0] == "NO":
		return source.File{Name: name, Err: refused{words[1:]}}, nil
	case words[0] != "DATA":
		return source.File{}, unexpected(words)
	}
	h, err := head(words)
	if err != nil {
		return source.File{}, err
	}
	return c.meta(h, name)
}

// Vanished asks the agent to look for mailboxes.
func (s *Source) Vanished(ctx context.Context, user string, had []source.Known) (why []error, err error) {
	s.stated.forget()
	if !s.extended {
		err = s.ask(ctx, func(c *conn) error {
			why, err = s.plainVanished(c, user, had)
			return err
		})
		return why, err
	}
	const most = 256 // a request has 256 KiB, a name a few hundred bytes
	for some := range slices.Chunk(had, most) {
		answers, err := s.vanished(ctx, user, some)
		if err != nil {
			return nil, err
		}
		why = append(why, answers...)
	}
	return why, nil
}

func (s *Source) vanished(ctx context.Context, user string, had []source.Known) (why []error, err error) {
	words := []string{user}
	for _, k := range had {
		words = append(words, k.Archived, k.UniqueID)
	}
	err = s.ask(ctx, func(c *conn) error {
		why = nil
		if err := c.request("VANISHED", words...); err != nil {
			return refusal(ctx, user, err)
		}
		_, err := c.lines("VANISHED", func(w []string) error {
			switch {
			case w[0] == "GONE" && len(w) == 1:
				why = append(why, nil)
			case w[0] == "KEPT" && len(w) == 2:
				why = append(why, errors.New(w[1]))
			default:
				return unexpected(w)
			}
			return nil
		})
		if err == nil && len(why) != len(had) {
			err = lost{fmt.Errorf("asked about %d mailboxes, it answered for %d", len(had), len(why))}
		}
		return err
	})
	return why, err
}

// handover keeps mailboxes that were told of with a user's files, for the Mailboxes that follows.
type handover struct {
	mu   sync.Mutex // guards what follows
	told map[string]told
}

type told struct {
	at    time.Time
	boxes []source.Mailbox
}

// maxAge: as old as a list of an agent may be.
const maxAge = 5 * time.Second

func (h *handover) put(user string, boxes []source.Mailbox) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told == nil {
		h.told = map[string]told{}
	}
	for other, t := range h.told { // of runs that failed
		if time.Since(t.at) > maxAge {
			delete(h.told, other)
		}
	}
	h.told[user] = told{time.Now(), boxes}
}

// take returns what was put, once.
func (h *handover) take(user string) []source.Mailbox {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.told[user]
	delete(h.told, user)
	if time.Since(t.at) > maxAge {
		return nil
	}
	return t.boxes
}

// forget: a later list is asked for anew.
func (h *handover) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.told)
}
