package agent_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/agent"
	"backupfs/source"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// mustUnpack unpacks a spool into a folder that user cyrus, whose it is, reaches.
func mustUnpack(t testing.TB, tar string) string {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "backupfs-agent-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	must(t, os.Chmod(root, 0o755))
	for _, args := range [][]string{{"tar", "-xzf", tar, "-C", root}, {"chown", "-R", "cyrus:mail", root}, {"chmod", "-R", "u+rwX", root}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return root
}

func mustOpen(t testing.TB, o source.LocalOptions) *source.Local {
	t.Helper()
	src, err := source.OpenLocal(t.Context(), o)
	must(t, err)
	return src
}

// mustServe serves until the test ends, and returns the address.
func mustServe(t testing.TB, src *source.Local, o agent.Options) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return mustServeOn(t, ln, src, o)
}

func mustServeOn(t testing.TB, ln net.Listener, src *source.Local, o agent.Options) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return agent.Serve(ctx, src, ln, o) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// patience is for what should take milliseconds, and for ever if something is wrong.
const patience = 3 * time.Minute

func mustDial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}

// mustAsk sends requests in one write, and returns all that is answered.
func mustAsk(t testing.TB, addr string, request []byte) []byte {
	t.Helper()
	c := mustDial(t, addr)
	_, err := c.Write(request)
	must(t, err, c.CloseWrite())
	b, err := io.ReadAll(c)
	must(t, err, c.Close())
	return b
}

func mustAskString(t testing.TB, addr, request string) string {
	t.Helper()
	return string(mustAsk(t, addr, []byte(request)))
}
