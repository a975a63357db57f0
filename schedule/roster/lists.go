package roster

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"

	"backupfs/schedule"
	"backupfs/source"
)

// File reads users from a file: a line each, "brong,imap1,default". Server and drive unit may be left out; # begins a comment, and a name
// with a comma is in quotes.
func File(path string) func(context.Context) ([]schedule.User, error) {
	return func(context.Context) (users []schedule.User, err error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		lines := csv.NewReader(f)
		lines.Comment, lines.FieldsPerRecord, lines.TrimLeadingSpace = '#', -1, true
		for {
			fields, err := lines.Read()
			if errors.Is(err, io.EOF) {
				return users, nil
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			line, _ := lines.FieldPos(0)
			if len(fields) > 3 || fields[0] == "" {
				return nil, fmt.Errorf("%s:%d: not a user, a server and a drive unit: brong,imap1,default", path, line)
			}
			fields = append(fields, "", "")
			users = append(users, schedule.User{Name: fields[0], Server: fields[1], Unit: fields[2]})
		}
	}
}

// Server asks a server for all whom it has.
func Server(name string, connect func(context.Context, string) (source.Source, error)) func(context.Context) ([]schedule.User, error) {
	return func(ctx context.Context) ([]schedule.User, error) {
		src, err := connect(ctx, name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = src.Close() }()
		found, err := src.Users(ctx)
		if err != nil {
			return nil, err
		}
		users := make([]schedule.User, 0, len(found))
		for _, u := range found {
			users = append(users, schedule.User{Name: u.Name, Server: name, Unit: u.DriveUnit})
		}
		return users, nil
	}
}

// OnlyServer is where users are of whom the list does not say it.
func OnlyServer(name string, list func(context.Context) ([]schedule.User, error)) func(context.Context) ([]schedule.User, error) {
	return func(ctx context.Context) ([]schedule.User, error) {
		users, err := list(ctx)
		for i := range users {
			if users[i].Server == "" {
				users[i].Server = name
			}
		}
		return users, err
	}
}
