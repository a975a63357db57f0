package restore

import (
	"crypto/sha1"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"backupfs/cyrus"
)

// imapBox is a folder of an IMAP server, and what is known of its messages.
type imapBox struct {
	session *session
	name    string // in UTF-8
	absent  bool
	bySize  map[int64][]imap.UID // nil: not asked for yet
	guids   map[imap.UID]cyrus.GUID
}

// has reports whether a message was there when the folder was looked at first.
func (b *imapBox) has(m *Message) (bool, error) {
	if b.bySize == nil {
		if err := b.sizes(); err != nil {
			return false, fmt.Errorf("%w: %s: %w", ErrBroken, b.name, err)
		}
	}
	same := b.bySize[int64(m.Record.Size)]
	var unread imap.UIDSet
	for _, uid := range same {
		if _, ok := b.guids[uid]; !ok {
			unread.AddNum(uid)
		}
	}
	if err := b.digest(unread); err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrBroken, b.name, err)
	}
	for _, uid := range same {
		if b.guids[uid] == m.Record.GUID {
			return true, nil
		}
	}
	return false, nil
}

// examine opens the folder, for reading.
func (b *imapBox) examine() (*imapclient.Client, error) {
	client, err := b.session.open()
	if err != nil || b.session.examined == b.name {
		return client, err
	}
	b.session.examined = ""
	if _, err := client.Select(b.name, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	b.session.examined = b.name
	return client, nil
}

// sizes asks for the lengths of all messages.
func (b *imapBox) sizes() error {
	sizes := map[int64][]imap.UID{}
	if !b.absent {
		client, err := b.examine()
		if err != nil {
			return err
		}
		all := imap.UIDSet{}
		all.AddRange(1, 0) // 1:*
		list := client.Fetch(all, &imap.FetchOptions{UID: true, RFC822Size: true})
		for m := list.Next(); m != nil; m = list.Next() {
			var uid imap.UID
			size := int64(-1)
			for item := m.Next(); item != nil; item = m.Next() {
				switch item := item.(type) {
				case imapclient.FetchItemDataUID:
					uid = item.UID
				case imapclient.FetchItemDataRFC822Size:
					size = item.Size
				}
			}
			if uid != 0 && size >= 0 {
				sizes[size] = append(sizes[size], uid)
			}
		}
		if err := list.Close(); err != nil {
			return err
		}
	}
	b.bySize, b.guids = sizes, map[imap.UID]cyrus.GUID{}
	return nil
}

// digest reads messages. One that was expunged meanwhile has none.
func (b *imapBox) digest(uids imap.UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	client, err := b.examine()
	if err != nil {
		return err
	}
	body := &imap.FetchItemBodySection{Peek: true}
	list := client.Fetch(uids, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{body}})
	for m := list.Next(); m != nil; m = list.Next() {
		var uid imap.UID
		var guid *cyrus.GUID
		for item := m.Next(); item != nil; item = m.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				uid = item.UID
			case imapclient.FetchItemDataBodySection:
				if item.Literal == nil {
					continue
				}
				sum := sha1.New()
				if _, err := io.Copy(sum, item.Literal); err != nil {
					_ = list.Close()
					return err
				}
				g := cyrus.GUID(sum.Sum(nil))
				guid = &g
			}
		}
		if uid != 0 && guid != nil {
			b.guids[uid] = *guid
		}
	}
	return list.Close()
}
