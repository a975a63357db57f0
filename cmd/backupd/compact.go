package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that --tz works where the system has no zones

	"github.com/spf13/cobra"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/internal/store"
)

type compactOptions struct {
	output
	store  string
	keep   keepSpec
	live   int
	gone   days
	zone   zone
	dryRun bool
	users  []string
}

func newCompact() *cobra.Command {
	opts := compactOptions{keep: keepSpec(backup.DefaultKeep), zone: zone{time.UTC}}
	cmd := &cobra.Command{
		Use:   "compact --store DIR [--keep SPEC] [--dry-run] [USER...]",
		Short: "Drop dates beyond retention, and the mail that no other date shows",
		Long: `Drop dates of the named users, or of all, that are not to be kept, and the mail that no other date shows: a new archive is
made of what the dates that are kept show, and takes the place of the old one, which is removed.

SPEC says which dates are kept: the newest so many (last), and the newest one of each of the newest so many days, weeks,
months and years (daily, weekly, monthly, yearly) that have one. The newest date always is. Days are those of --tz.

With --keep-deleted DAYS also the last date that shows a folder which the newest does not show, until it is so much older.

As long as --live PERCENT of an archive are needed by dates that are kept, nothing is done, and all of its dates stay: a new
archive would bring little space. With --live 100 dates go as soon as they may.

The old archive is read to its last byte first; a damaged one is left alone. The new one is made beside it, read back, and
compared with it at each date, before it takes its place: until then nothing is changed, whenever it is interrupted. It takes
as much space as what is kept. Mounts go on, and files that are open there can be read to their end.

Exit status: 0 if all is done, or nothing is to be done; 1 if it failed; 3 if it failed for some users; 4 if a backup of the
user is going on; 5 if an archive is damaged.`,
		Example: `  backupd compact --store /srv/backup --keep daily=14,weekly=8,monthly=12 --dry-run
  backupd compact --store /srv/backup --keep daily=14,weekly=8,monthly=12
  backupd compact --store /srv/backup --keep last=1 --live 100 brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			if opts.live < 1 || opts.live > 100 {
				return cli.Usagef("--live %d: not from 1 to 100", opts.live)
			}
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runCompact(cmd.Context(), opts)
		},
	}
	addStore(cmd, &opts.store)
	flags := cmd.Flags()
	flags.Var(&opts.keep, "keep", "`SPEC` of the dates that are kept")
	flags.Var(&opts.gone, "keep-deleted", "keep the last date of a folder that is gone for so many `DAYS`")
	flags.IntVar(&opts.live, "live", 80, "leave archives alone of which so many `PERCENT` are needed")
	flags.Var(&opts.zone, "tz", "time `ZONE` of days, weeks, months, as Europe/Berlin or Local")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "only say what would go")
	opts.addQuiet(cmd)
	opts.addJSON(cmd, "print one JSON object a user")
	return cmd
}

// keepSpec is a flag.
type keepSpec backup.Keep

func (k *keepSpec) Set(text string) error {
	keep, err := backup.ParseKeep(text)
	*k = keepSpec(keep)
	return err
}

func (k *keepSpec) String() string { return backup.Keep(*k).String() }
func (k *keepSpec) Type() string   { return "SPEC" }

// days is a flag.
type days int

func (d *days) Set(text string) error {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 15)
	if err != nil {
		return errors.New("no number of days as 30d")
	}
	*d = days(n)
	return nil
}

func (d *days) String() string { return strconv.Itoa(int(*d)) }
func (d *days) Type() string   { return "DAYS" }

// zone is a flag.
type zone struct{ *time.Location }

func (z *zone) Set(text string) (err error) {
	if z.Location, err = time.LoadLocation(text); err != nil || text == "" {
		return errors.New("no time zone as Europe/Berlin")
	}
	return nil
}

func (z *zone) Type() string { return "ZONE" }

func runCompact(ctx context.Context, opts compactOptions) error {
	st, err := openStore(ctx, "compact", opts.store, opts.users)
	if err != nil {
		return err
	}
	var one sync.Mutex // held while an archive is made: there need not be space for several
	return overUsers(ctx, &opts.output, st, opts.users, func(ctx context.Context, u store.User) (*backup.Compacted, error) {
		one.Lock()
		defer one.Unlock()
		res, err := backup.Compact(ctx, u, backup.CompactOptions{
			Keep: backup.Keep(opts.keep), Location: opts.zone.Location, Deleted: time.Duration(opts.gone) * 24 * time.Hour, Live: float64(opts.live) / 100, DryRun: opts.dryRun,
			Progress: func(doing string, done, total int64) { opts.percent(u.Name+": "+doing)(done, total) },
		})
		if errors.Is(err, archive.ErrDamaged) {
			err = cli.WithHint(err, "backupd repair --store %s %s", cli.Shell(st.Root), cli.Shell(u.Name))
		}
		return res, err
	}, func(u store.User, res *backup.Compacted, err error) error {
		if err == nil {
			opts.print(u, res)
		}
		return nil
	})
}

// compacted is one user in --json.
type compacted struct {
	User         string          `json:"user"`
	Kept         []compactedDate `json:"kept"`
	Dropped      []compactedDate `json:"dropped"` // with done: that are gone; else that are beyond retention
	Live         float64         `json:"live"`
	Pays         bool            `json:"pays"`
	Done         bool            `json:"done"`
	Archive      string          `json:"archive,omitempty"`
	Before       int64           `json:"bytes_before"`
	After        int64           `json:"bytes_after"`
	DeadMessages int             `json:"dead_messages"`
	DeadBytes    int64           `json:"dead_bytes"`
}

type compactedDate struct {
	Run  int    `json:"run"`
	Date string `json:"date"`
}

func (o *compactOptions) print(u store.User, r *backup.Compacted) {
	if o.json {
		_ = json.NewEncoder(o.out).Encode(compacted{
			User: u.Name, Kept: datesOf(r.Kept), Dropped: datesOf(r.Dropped), Live: r.Live, Pays: r.Pays, Done: r.Path != "", Archive: r.Path,
			Before: r.Before, After: r.After, DeadMessages: r.Dead.Messages, DeadBytes: r.Dead.Size,
		})
		return
	}
	runs := plural(len(r.Kept)+len(r.Dropped), "run")
	var names []string
	for _, d := range datesOf(r.Dropped) {
		names = append(names, d.Date)
	}
	what := fmt.Sprintf("%d of %s (%s), %s (%s)", len(r.Dropped), runs, span(names), plural(r.Dead.Messages, "message"), size(r.Dead.Size))
	sizes := fmt.Sprintf("%s, %s before", size(r.After), size(r.Before))
	switch {
	case len(r.Dropped) == 0:
		o.say("%s: all of %s are kept", u.Name, runs)
	case r.Path != "":
		o.say("%s: dropped %s: %s", u.Name, what, sizes)
	case r.Pays:
		o.say("%s: would drop %s: about %s", u.Name, what, sizes)
	default:
		o.say("%s: %s may go, and stay: %.0f %% of the archive is needed, nothing to gain", u.Name, what, 100*r.Live)
	}
}

func datesOf(runs []index.Run) []compactedDate {
	dates := make([]compactedDate, len(runs))
	for i, r := range runs {
		dates[i] = compactedDate{r.Run.Run, r.Date}
	}
	return dates
}
