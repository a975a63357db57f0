package main

import (
	"context"
	"fmt"
	"sync"

	"backupfs/schedule/config"
	"backupfs/source"
	"backupfs/source/remote"
)

// connector opens a server by the name that the configuration has for it.
type connector = func(ctx context.Context, name string) (source.Source, error)

// servers are those of a configuration. It is safe for concurrent use.
type servers struct {
	conf map[string]config.Server
	pins int

	mu    sync.Mutex               // guards local
	local map[string]*source.Local // those on this host: each is opened once, and has one list of mailboxes
}

// connect is open for those who need no more than a Source.
func (s *servers) connect(ctx context.Context, name string) (source.Source, error) {
	return s.open(ctx, name)
}

// open opens a server. An agent gets connections for each who opens it, so that those of one that broke, or hangs, are nobody else's.
func (s *servers) open(ctx context.Context, name string) (serverSource, error) {
	conf, ok := s.conf[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("the configuration has no [servers.%s]", name)
	case conf.Address == "":
		return s.spool(ctx, name, conf.IMAPDConf)
	}
	dial, err := dialer(conf.Address, tlsOptions{conf.TLS})
	if err != nil {
		return nil, err
	}
	return connectAgent(ctx, dial, conf.Address, remote.Options{Silence: conf.Timeout})
}

// spool opens a server on this host. Close of what it returns gives nothing up that others use.
func (s *servers) spool(ctx context.Context, name, imapdConf string) (serverSource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if src := s.local[name]; src != nil {
		return src, nil
	}
	src, err := source.OpenLocal(ctx, source.LocalOptions{ConfigPath: imapdConf, MaxPins: s.pins})
	if err != nil {
		return nil, err
	}
	s.local[name] = src
	return src, nil
}
