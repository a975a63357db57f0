package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// imapPlace is a folder that messages are appended to.
type imapPlace struct {
	box    *imapBox
	uids   map[uint32]uint32 // of messages that were appended, as far as the server told
	owner  string            // as the archive calls him
	beside bool              // the folder, which may be there, too
}

func (p *imapPlace) Name() string { return p.box.name }
func (p *imapPlace) Absent() bool { return p.box.absent }

func (p *imapPlace) Has(context.Context) (Held, error) { return p.box.has, nil }

// make makes the folder.
func (p *imapPlace) make() error {
	if !p.box.absent {
		return nil
	}
	client, err := p.box.session.open()
	if err != nil {
		return err
	}
	if err := client.Create(p.box.name, nil).Wait(); err != nil {
		return fmt.Errorf("CREATE: %w", err)
	}
	p.box.absent = false
	return nil
}

// Put appends a message. It is there at once, for all to see; what the server will not have is about this message alone.
func (p *imapPlace) Put(m *Message) error {
	var cmd *imapclient.AppendCommand
	var sendErr error
	err := m.pieces(func(b []byte) error {
		if cmd == nil { // a small message is known to be right by now
			cmd, sendErr = p.begin(m)
		}
		if sendErr == nil {
			_, sendErr = cmd.Write(b)
		}
		return sendErr
	})
	if cmd == nil {
		return err
	}
	if sendErr == nil && err != nil {
		// How long it is was said, and what is right of it was sent: the server must not take what comes next for the rest. Without its connection
		// it has no message.
		p.box.session.close()
		_ = cmd.Close()
		return err
	}
	closeErr := cmd.Close()
	answer, waitErr := cmd.Wait()
	var no *imap.Error
	switch {
	case errors.As(waitErr, &no) && no.Code != imap.ResponseCodeOverQuota:
		// Who refuses a literal may hang up, as Cyrus does where it need not wait for it, and so does the library where it need.
		p.box.session.close()
		return waitErr
	case errors.Join(err, closeErr, waitErr) != nil:
		return fmt.Errorf("%w: %s: %w", ErrBroken, p.box.session.server.Address, errors.Join(err, closeErr, waitErr))
	}
	if answer.UID != 0 {
		p.uids[m.Record.UID] = uint32(answer.UID)
	}
	return nil
}

// begin tells the server of a message.
func (p *imapPlace) begin(m *Message) (*imapclient.AppendCommand, error) {
	if err := p.make(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBroken, p.box.name, err)
	}
	client, err := p.box.session.open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	options := imap.AppendOptions{Time: m.Date()}
	for _, flag := range m.Flags {
		options.Flags = append(options.Flags, imap.Flag(flag))
	}
	return client.Append(p.box.name, int64(m.Record.Size), &options), nil
}

// Commit makes the folder where nothing was put to it.
func (p *imapPlace) Commit(context.Context) (map[uint32]uint32, error) {
	if err := p.make(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.box.name, err)
	}
	return p.uids, nil
}

// Close has nothing to give up: what was appended is there.
func (p *imapPlace) Close() error { return nil }
