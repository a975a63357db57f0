package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"backupfs/cmd/internal/cli"
	"backupfs/schedule"
)

// metrics count what this process did. What it did not do itself, a Report says.
type metrics struct {
	runs     *prometheus.CounterVec
	seconds  prometheus.Histogram
	messages prometheus.Counter
	bytes    prometheus.Counter
	scrubs   *prometheus.CounterVec
	reread   prometheus.Counter
	compacts *prometheus.CounterVec
	freed    prometheus.Counter

	compactSeconds prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "backupfs_runs_total",
			Help: "Turns of users, by result: ok; incomplete, of which something could not be backed up; failed."}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "backupfs_run_seconds", Help: "How long a user's turn took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}), // 10 ms for who has nothing new, 45 minutes for who has everything
		messages: prometheus.NewCounter(prometheus.CounterOpts{Name: "backupfs_new_messages_total", Help: "Messages that were stored."}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "backupfs_new_bytes_total", Help: "Their bytes, before compression."}),
		scrubs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "backupfs_scrubs_total",
			Help: "Archives that were read again, by result: ok; damaged; failed, of which not all could be read, or not be repaired."}, []string{"result"}),
		reread: prometheus.NewCounter(prometheus.CounterOpts{Name: "backupfs_scrubbed_bytes_total", Help: "Their bytes."}),
		compacts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "backupfs_compactions_total",
			Help: "Archives that were to be compacted, by result: ok; failed, which stay as they were."}, []string{"result"}),
		freed: prometheus.NewCounter(prometheus.CounterOpts{Name: "backupfs_compacted_bytes_total", Help: "Bytes of archives that compactions freed."}),
		compactSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "backupfs_compaction_seconds", Help: "How long a compaction took, or failed after.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}),
	}
	for _, result := range []string{"ok", "incomplete", "failed"} {
		m.runs.WithLabelValues(result) // it is 0 and not missing until there is one
	}
	for _, result := range []string{"ok", "damaged", "failed"} {
		m.scrubs.WithLabelValues(result)
	}
	for _, result := range []string{"ok", "failed"} {
		m.compacts.WithLabelValues(result)
	}
	return m
}

// count counts a turn.
func (m *metrics) count(o schedule.Outcome) {
	word := o.Word()
	if word == "" {
		return // somebody else's
	}
	m.runs.WithLabelValues(word).Inc()
	if o.Err != nil {
		return
	}
	m.seconds.Observe(o.Took.Seconds())
	m.messages.Add(float64(o.Result.Run.NewMessages))
	m.bytes.Add(float64(o.Result.Run.NewBytes))
}

// compacted counts a compaction, where it pays.
func (m *metrics) compacted(o schedule.Compaction) {
	result := "ok"
	switch {
	case o.Err != nil:
		result = "failed"
	case o.Result.Path == "":
		return
	default:
		m.freed.Add(float64(max(o.Result.Before-o.Result.After, 0)))
	}
	m.compacts.WithLabelValues(result).Inc()
	m.compactSeconds.Observe(o.Took.Seconds())
}

// scrubbed counts an archive that was read again.
func (m *metrics) scrubbed(o schedule.Scrubbed) {
	result := "ok"
	switch {
	case o.Err != nil:
		result = "failed"
	case len(o.Damage) > 0:
		result = "damaged"
	}
	m.scrubs.WithLabelValues(result).Inc()
	m.reread.Add(float64(o.Bytes))
}

// handler serves them, and what a report says.
func (m *metrics) handler(report func(context.Context) (schedule.Report, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		registry := prometheus.NewRegistry()
		registry.MustRegister(m.runs, m.seconds, m.messages, m.bytes, m.scrubs, m.reread, m.compacts, m.freed, m.compactSeconds, collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		if r, err := report(req.Context()); err == nil { // else these are missing, which is noticed
			registry.MustRegister(reported{r})
		}
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, req)
	})
}

// reported are a report's metrics.
type reported struct{ schedule.Report }

// ofUnit are metrics of a drive unit.
var ofUnit = []struct {
	desc *prometheus.Desc
	of   func(schedule.UnitReport) float64
}{
	{unitDesc("users", "Users in the list."), func(u schedule.UnitReport) float64 { return float64(u.Users) }},
	{unitDesc("users_never", "Users who were never backed up."), func(u schedule.UnitReport) float64 { return float64(u.Never) }},
	{unitDesc("users_late", "Users who had no turn in the last window, or whose backup is older than is allowed."),
		func(u schedule.UnitReport) float64 { return float64(u.Late) }},
	{unitDesc("users_failed", "Users whose last turn failed."), func(u schedule.UnitReport) float64 { return float64(u.Failed) }},
	{unitDesc("users_due", "Users whose turn has come."), func(u schedule.UnitReport) float64 { return float64(u.Due) }},
}

func unitDesc(name, help string) *prometheus.Desc { return desc(name, help, "server", "unit") }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("backupfs_"+name, help, labels, nil)
}

var (
	oldestDesc  = unitDesc("oldest_backup_age_seconds", "How old the oldest last backup of a user is.")
	newestDesc  = unitDesc("newest_backup_age_seconds", "How old the newest backup is.")
	goneDesc    = desc("users_gone", "Users who are backed up and no longer listed.")
	troubleDesc = desc("trouble", "1 for each thing that keeps many users from being backed up.", "what")
	damagedDesc = desc("users_damaged", "Users whose archive is damaged, and was not repaired.")
	asideDesc   = desc("damaged_archives_kept", "Damaged archives that repairs have left beside the new ones.")
	asideSize   = desc("damaged_archives_kept_bytes", "Their bytes.")
	unreadDesc  = desc("users_scrub_late", "Users whose archive was not read again for longer than it should be.")
	sizeDesc    = desc("store_size_bytes", "Size of a store's file system.", "store")
	freeDesc    = desc("store_free_bytes", "What is free of it.", "store")
)

// Describe tells nothing: which servers there are is known from the report alone.
func (reported) Describe(chan<- *prometheus.Desc) {}

func (r reported) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		for i, l := range labels {
			labels[i] = cli.Clean(l) // a label that is no UTF-8 would cost all metrics
		}
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	age := func(d *prometheus.Desc, t *time.Time, u schedule.UnitReport) {
		if t != nil {
			gauge(d, r.At.Sub(*t).Seconds(), u.Server, u.Unit)
		}
	}
	for _, u := range r.Units {
		for _, m := range ofUnit {
			gauge(m.desc, m.of(u), u.Server, u.Unit)
		}
		age(oldestDesc, u.Oldest, u)
		age(newestDesc, u.Newest, u)
	}
	gauge(goneDesc, float64(len(r.Gone)))
	var files, bytes float64
	for _, a := range r.Aside {
		files, bytes = files+float64(a.Files), bytes+float64(a.Bytes)
	}
	gauge(asideDesc, files)
	gauge(asideSize, bytes)
	for _, t := range r.Troubles {
		gauge(troubleDesc, 1, t.What)
	}
	if r.Scrub != nil {
		gauge(damagedDesc, float64(len(r.Scrub.Damaged)))
		gauge(unreadDesc, float64(r.Scrub.Late))
	}
	for _, s := range r.Stores {
		if s.Error == "" {
			gauge(sizeDesc, float64(s.Size), s.Store)
			gauge(freeDesc, float64(s.Free), s.Store)
		}
	}
}
