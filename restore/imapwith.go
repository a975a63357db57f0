package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"backupfs/cyrus"
)

// Subscribe subscribes the user to those folders that are there: his own, and others' that he is shown.
func (s *IMAP) Subscribe(_ context.Context, list []Subscription, dryRun bool) (n int, err error) {
	for _, e := range list {
		name, ok := s.other(e.Other)
		if e.Own != "" {
			if name, err = s.name(e.Own); err != nil {
				return n, err
			}
			ok = s.boxes[name] != nil && !s.boxes[name].absent
		}
		if !ok {
			continue
		}
		if n++; dryRun {
			continue
		}
		client, err := s.session.open()
		if err == nil {
			err = client.Subscribe(name).Wait()
		}
		if err != nil {
			return n - 1, s.said(fmt.Errorf("SUBSCRIBE %s: %w", name, err))
		}
	}
	return n, nil
}

// Annotate sets the METADATA that is shared or the user's own, where the folder has no value (RFC 5464). An entry that the server does not let
// him set is told.
func (p *imapPlace) Annotate(_ context.Context, list []cyrus.Annotation, dryRun bool) (n int, err error) {
	client, err := p.box.session.open()
	if err != nil {
		return 0, err
	}
	if !client.Caps().Has(imap.CapMetadata) {
		return 0, errors.New("the server has no METADATA")
	}
	var errs []error
	for _, a := range list {
		entry := "/shared" + a.Entry
		if a.User != "" {
			entry = "/private" + a.Entry
		}
		if a.User != "" && a.User != p.owner || apart(a) && (p.beside || a.Entry != specialUse) { // of others; the server's own
			continue
		}
		has, err := p.hasMetadata(entry)
		if err == nil && has {
			continue
		}
		if err == nil && !dryRun {
			value := []byte(a.Value)
			err = client.SetMetadata(p.box.name, map[string]*[]byte{entry: &value}).Wait()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("METADATA %s: %w", entry, err))
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

func (p *imapPlace) hasMetadata(entry string) (bool, error) {
	if p.box.absent { // on a dry run
		return false, nil
	}
	client, err := p.box.session.open()
	if err != nil {
		return false, err
	}
	got, err := client.GetMetadata(p.box.name, []string{entry}, nil).Wait()
	return err == nil && got.Entries[entry] != nil, err
}
