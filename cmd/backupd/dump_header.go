package main

import (
	"encoding/json"
	"fmt"
	"io"

	"backupfs/cmd/internal/cli"
	"backupfs/cyrus"
	"backupfs/index"
)

func dumpHeader(opts dumpOptions, b []byte, out io.Writer) error {
	h, err := cyrus.ParseHeader(b)
	if err != nil {
		return err
	}
	type entry struct {
		User   string `json:"user"`
		Rights string `json:"rights"`
	}
	d := struct {
		MboxType  string   `json:"mboxtype,omitempty"`
		Name      string   `json:"name,omitempty"`
		UniqueID  string   `json:"uniqueid"`
		QuotaRoot string   `json:"quotaroot,omitempty"`
		Flags     []string `json:"flags"`
		ACL       []entry  `json:"acl"`
	}{h.MboxType, h.Name, h.UniqueID, h.QuotaRoot, append([]string{}, h.Flags...), []entry{}}
	for _, a := range h.ACL {
		d.ACL = append(d.ACL, entry{a.User, a.Rights})
	}
	if opts.json {
		return json.NewEncoder(out).Encode(d)
	}
	fmt.Fprintf(out, "name %s\nuniqueid %s\nmboxtype %s\nquotaroot %s\n", cli.Clean(d.Name), cli.Clean(d.UniqueID), cli.Clean(d.MboxType), cli.Clean(d.QuotaRoot))
	for i, f := range d.Flags {
		fmt.Fprintf(out, "flag %d %s\n", i, cli.Clean(f))
	}
	for _, a := range d.ACL {
		fmt.Fprintf(out, "acl %s %s\n", cli.Clean(a.User), cli.Clean(a.Rights))
	}
	return nil
}

func dumpExceptions(opts dumpOptions, b []byte, out io.Writer) error {
	e, err := index.ParseExceptions(b)
	if err != nil {
		return err
	}
	if !opts.json {
		_, err := out.Write(e.Marshal())
		return err
	}
	message := make(map[uint32]string, len(e.Message))
	for uid, g := range e.Message {
		message[uid] = g.String()
	}
	return json.NewEncoder(out).Encode(struct {
		Fingerprint string            `json:"fingerprint,omitempty"`
		Message     map[uint32]string `json:"message"`
		Missing     map[uint32]bool   `json:"missing"`
	}{e.Fingerprint, message, e.Missing})
}
