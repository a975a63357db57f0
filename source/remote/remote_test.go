package remote

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/agent"
	"backupfs/internal/cyruslab"
	"backupfs/internal/mtls"
	"backupfs/source"
	"backupfs/source/sourcetest"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// mustAgent serves a spool until the test ends.
func mustAgent(t testing.TB, o source.LocalOptions) Dial {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	mustServe(t, ln, o)
	return to(ln.Addr())
}

// mustSecureAgent does so over TLS, with certificates of a CA of its own.
func mustSecureAgent(t testing.TB, o source.LocalOptions) Dial {
	t.Helper()
	const host = "127.0.0.1"
	ca, err := mtls.NewAuthority(t.TempDir())
	must(t, err)
	agentDir, agentErr := ca.Agent(host)
	clientDir, clientErr := ca.Client("backup")
	server, serverErr := mtls.Server(mtls.In(agentDir))
	client, configErr := mtls.Client(mtls.In(clientDir), host)
	ln, err := net.Listen("tcp", host+":0")
	must(t, agentErr, clientErr, serverErr, configErr, err)
	mustServe(t, tls.NewListener(ln, server), o)
	return func(ctx context.Context) (net.Conn, error) {
		return (&tls.Dialer{Config: client}).DialContext(ctx, "tcp", ln.Addr().String())
	}
}

func mustServe(t testing.TB, ln net.Listener, o source.LocalOptions) {
	t.Helper()
	src, err := source.OpenLocal(t.Context(), o)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return agent.Serve(ctx, src, ln, agent.Options{}) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func to(addr net.Addr) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
	}
}

func mustOpen(t testing.TB, dial Dial, o Options) *Source {
	t.Helper()
	s, err := Open(t.Context(), dial, o)
	must(t, err)
	if s.extended == o.Plain {
		t.Fatalf("extended: %v", s.extended)
	}
	s.clock.settled = fine
	return s
}

// fine is for file systems that keep more than whole seconds, which is all that is told of them.
const fine = time.Second + 50*time.Millisecond

// TestConformance: with the extension, and as with backupcyrusd.
func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		lab    cyruslab.Options
		plain  bool
		traits sourcetest.Traits
	}{
		"Extended":           {lab: cyruslab.Options{DelayedDelete: true}},
		"ExtendedPartitions": {lab: cyruslab.Options{UnixHierarchySep: true, SecondPartition: true, MetaFiles: "header index cache annotations", Archive: true}},
		"ExtendedByName":     {lab: cyruslab.Options{LegacyDirs: true, UnixHierarchySep: true, AltNamespace: true, Hash: true, DelayedDelete: true, VirtDomains: "userid"}},
		"Plain":              {plain: true, lab: cyruslab.Options{DelayedDelete: true}},
		"PlainAlternative":   {plain: true, lab: cyruslab.Options{LegacyDirs: true, UnixHierarchySep: true, AltNamespace: true, ImmediateExpunge: true, VirtDomains: "userid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := cyruslab.Start(t, c.lab)
			traits := sourcetest.Traits{ByName: true, Release: sourcetest.Patience, Plain: c.plain}
			if c.plain {
				traits.Settled = fine
			}
			sourcetest.Run(t, lab, traits, func(t *testing.T, lockTimeout time.Duration) source.Source {
				dial := mustAgent(t, source.LocalOptions{ConfigPath: lab.Conf, LockTimeout: lockTimeout, MaxPins: 3})
				return mustOpen(t, dial, Options{Plain: c.plain})
			})
		})
	}
}
