package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// mustCA makes a CA, an agent on localhost and a client.
func mustCA(t testing.TB) (ca *Authority, agent, client Files) {
	t.Helper()
	ca, err := NewAuthority(filepath.Join(t.TempDir(), "ca"))
	must(t, err)
	agentDir, err := ca.Agent("localhost", "127.0.0.1")
	must(t, err)
	clientDir, err := ca.Client("backup")
	must(t, err)
	return ca, In(agentDir), In(clientDir)
}

// talk is what both sides say of a connection in which the client asks and the agent answers.
func talk(t testing.TB, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	must(t, err)
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
				return err
			}
			_, err = io.WriteString(c, "OK")
			return err
		}()
	}()
	clientErr = func() error {
		c, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(3*time.Minute)))
		secured := tls.Client(c, client)
		if _, err := io.WriteString(secured, "PING"); err != nil {
			return err
		}
		_, err = io.ReadFull(secured, make([]byte, 2))
		return err
	}()
	return <-served, clientErr
}

// TestWhoMayTalk: only an agent and a client of one CA, over TLS 1.3.
func TestWhoMayTalk(t *testing.T) {
	_, agent, client := mustCA(t)
	_, otherAgent, otherClient := mustCA(t)
	server, err := Server(agent)
	must(t, err)
	config := func(f Files, name string) *tls.Config {
		c, err := Client(f, name)
		must(t, err)
		return c
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if serverErr, clientErr := talk(t, server, config(client, name)); serverErr != nil || clientErr != nil {
			t.Errorf("%s: %v, %v", name, serverErr, clientErr)
		}
	}
	anonymous, old, stranger, impostor := config(client, "localhost"), config(client, "localhost"), config(otherClient, "localhost"), config(client, "localhost")
	anonymous.Certificates = nil
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	stranger.RootCAs = anonymous.RootCAs
	_, agentPair, err := agent.read()
	must(t, err)
	impostor.Certificates = []tls.Certificate{agentPair}
	for name, c := range map[string]*tls.Config{
		"without a certificate": anonymous, "TLS 1.2": old, "of another CA": stranger, "an agent": impostor,
	} {
		if serverErr, clientErr := talk(t, server, c); serverErr == nil || clientErr == nil {
			t.Errorf("a client %s is let in: %v, %v", name, serverErr, clientErr)
		}
	}
	elsewhere, err := Server(otherAgent)
	must(t, err)
	masked := &tls.Config{Certificates: config(client, "").Certificates} // with a client's certificate
	for name, pair := range map[string][2]*tls.Config{
		"of another name": {server, config(client, "imap2.example.com")}, "of another CA": {elsewhere, config(client, "localhost")},
		"a client": {masked, config(client, "localhost")},
	} {
		if _, clientErr := talk(t, pair[0], pair[1]); clientErr == nil {
			t.Errorf("an agent %s is believed", name)
		}
	}
}

// TestRenewal: the next connection has the new files, of another CA even, and a mistake in them ends with it.
func TestRenewal(t *testing.T) {
	_, agent, client := mustCA(t)
	_, otherAgent, otherClient := mustCA(t)
	server, err := Server(agent)
	must(t, err)
	works := func(f Files) bool {
		t.Helper()
		c, err := Client(f, "localhost")
		must(t, err)
		serverErr, clientErr := talk(t, server, c)
		return serverErr == nil && clientErr == nil
	}
	steps := []struct {
		name, from, to string
		old, new       bool
	}{
		{name: "as it was", old: true},
		{name: "a new CA", from: otherAgent.CA, to: agent.CA},
		{name: "its certificate, without the key", from: otherAgent.Cert, to: agent.Cert},
		{name: "all", from: otherAgent.Key, to: agent.Key, new: true},
	}
	for _, step := range steps {
		if step.from != "" {
			b, err := os.ReadFile(step.from)
			must(t, err, os.WriteFile(step.to, b, 0o600))
		}
		if old, new := works(client), works(otherClient); old != step.old || new != step.new {
			t.Errorf("%s: the old client %v, the new one %v", step.name, old, new)
		}
	}
}

// TestErrors name the file and what is wrong with it.
func TestErrors(t *testing.T) {
	ca, agent, client := mustCA(t)
	_, other, _ := mustCA(t)
	short := func(life time.Duration) Files {
		t.Helper()
		f := In(t.TempDir())
		cert := &x509.Certificate{NotBefore: time.Now().Add(-2 * day), NotAfter: time.Now().Add(life), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		must(t, issue(cert, ca, f.Key, f.Cert), write(f.CA, "CERTIFICATE", ca.cert.Raw))
		return f
	}
	expired, expiring := short(-day), short(day)
	mixed, swapped, empty := agent, agent, agent
	mixed.Key, swapped.CA, empty.CA = client.Key, other.CA, agent.Key
	for name, c := range map[string]struct {
		f    Files
		file string
		text string
	}{
		"a client's":        {client, client.Cert, "not good as agent: x509: certificate specifies an incompatible key usage"},
		"another's key":     {mixed, client.Key, "does not match"},
		"another CA":        {swapped, agent.Cert, "unknown authority"},
		"a CA that is none": {empty, agent.Key, "no certificate in it"},
		"an expired one":    {expired, expired.Cert, "expired"},
		"nothing":           {In(t.TempDir()), "ca.pem", "no such file"},
	} {
		conf, err := Server(c.f)
		if conf != nil || err == nil || !strings.Contains(err.Error(), c.file) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Client(agent, "localhost"); err == nil {
		t.Error("an agent's files serve a client")
	}
	if _, err := Server(expiring); err != nil {
		t.Error(err)
	}
	if err := expiring.Expiring(); err == nil || !strings.Contains(err.Error(), expiring.Cert+": expires on ") {
		t.Errorf("expires tomorrow: %v", err)
	}
	if err := agent.Expiring(); err != nil {
		t.Errorf("just made: %v", err)
	}
}

// TestAuthority overwrites nothing, and adds to what it made before.
func TestAuthority(t *testing.T) {
	ca, agent, _ := mustCA(t)
	before := listing(t, ca.dir)
	again, err := OpenAuthority(ca.dir)
	must(t, err)
	_, agentErr := again.Agent("localhost")
	_, clientErr := again.Client("backup")
	_, caErr := NewAuthority(ca.dir)
	key := filepath.Join(ca.dir, "ca.key")
	must(t, os.Rename(key, key+".away"))
	_, keyErr := NewAuthority(ca.dir)
	must(t, os.Rename(key+".away", key))
	for _, err := range []error{agentErr, clientErr, caErr, keyErr} {
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("made again: %v", err)
		}
	}
	for _, name := range []string{"", "..", "a/b", "imap:2901", "-x"} {
		if _, err := again.Agent(name); err == nil {
			t.Errorf("an agent called %q", name)
		}
	}
	if after := listing(t, ca.dir); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
	dir, err := again.Client("second")
	must(t, err)
	server, err := Server(agent)
	must(t, err)
	second, err := Client(In(dir), "localhost")
	must(t, err)
	if serverErr, clientErr := talk(t, server, second); serverErr != nil || clientErr != nil {
		t.Error(serverErr, clientErr)
	}
}

// listing is of all files, with modes and content.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		var content []byte
		if !d.IsDir() {
			content, err = os.ReadFile(path)
		}
		b.WriteString(path + "\n" + string(content))
		return err
	}))
	return b.String()
}

// TestOpenSSL: what the recipe in docs/agent.md makes can be used, and added to.
func TestOpenSSL(t *testing.T) {
	docs, err := os.ReadFile("../../docs/agent.md")
	must(t, err)
	recipe := regexp.MustCompile("(?s)```\n(umask [^`]*)```").FindSubmatch(docs)
	if recipe == nil {
		t.Fatal("docs/agent.md has no recipe")
	}
	dir := t.TempDir()
	cmd := exec.Command("bash", "-euc", string(recipe[1]))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server, err := Server(In(filepath.Join(dir, "agent-imap1.example.com")))
	must(t, err)
	ca, err := OpenAuthority(dir)
	must(t, err)
	added, err := ca.Client("added")
	must(t, err)
	for _, d := range []string{filepath.Join(dir, "client-backup"), added} {
		client, err := Client(In(d), "imap1.example.com")
		must(t, err)
		if serverErr, clientErr := talk(t, server, client); serverErr != nil || clientErr != nil {
			t.Errorf("%s: %v, %v", d, serverErr, clientErr)
		}
	}
}
