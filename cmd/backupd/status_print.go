package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"backupfs/cmd/internal/cli"
)

// listed is how many users are shown of those who failed, are gone, or have a damaged archive; --json has all.
const listed = 50

func (st *status) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERVER\tDRIVE UNIT\tUSERS\tNEVER\tLATE\tFAILED\tDUE\tOLDEST\tNEWEST")
	for _, u := range st.Units {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", dash(u.Server), dash(u.Unit), u.Users, u.Never, u.Late, u.Failed, u.Due,
			when(u.Oldest), when(u.Newest))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	section := func(title string, n int, line func(i int)) {
		if n > 0 {
			fmt.Fprintf(w, "\n%s\n", title)
		}
		for i := range min(n, listed) {
			line(i)
		}
		if n > listed {
			fmt.Fprintf(w, "and %d more\n", n-listed)
		}
	}
	section("STORE\tSIZE\tFREE", len(st.Stores), func(i int) {
		s := st.Stores[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", cli.Clean(s.Store), size(int64(s.Size)), size(int64(s.Free)))
	})
	section("TROUBLE WITH\tSINCE\tREASON", len(st.Troubles), func(i int) {
		t := st.Troubles[i]
		fmt.Fprintf(w, "%s\t%s\t%s\n", cli.Clean(t.What), when(&t.Since), cli.Clean(t.Reason))
	})
	section("FAILED\tSERVER\tDRIVE UNIT\tTRIES\tLAST BACKUP\tREASON", len(st.Failures), func(i int) {
		f := st.Failures[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cli.Clean(f.User), dash(f.Server), dash(f.Unit), tries(f.Tries), when(f.Last), cli.Clean(f.Reason))
	})
	section("NO LONGER LISTED\tSINCE\tLAST BACKUP\tREMOVED AFTER", len(st.Gone), func(i int) {
		g := st.Gone[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cli.Clean(g.User), when(g.Since), when(g.Last), when(g.Removed))
	})
	if st.Scrub != nil {
		section("DAMAGED ARCHIVE OF\tFOUND\tDAMAGE", len(st.Scrub.Damaged), func(i int) {
			d := st.Scrub.Damaged[i]
			fmt.Fprintf(w, "%s\t%s\t%s\n", cli.Clean(d.User), when(&d.Found), cli.Clean(d.What))
		})
	}
	section("KEPT FROM BEFORE REPAIRS OF\tFILES\tSIZE", len(st.Aside), func(i int) {
		a := st.Aside[i]
		fmt.Fprintf(w, "%s\t%d\t%s\n", cli.Clean(a.User), a.Files, size(a.Bytes))
	})
	fmt.Fprintf(w, "\n%s\n", st.pace())
	return w.Flush()
}

// pace says how fast it goes.
func (st *status) pace() string {
	text := "backupd serve does not run"
	if st.Running {
		text = "backupd serve runs"
	}
	if st.PerSecond > 0 {
		text += fmt.Sprintf("; %.1f users a second in the last minutes", st.PerSecond)
	}
	if st.Running && st.Ends != nil {
		text += "; " + plural(st.Due, "user") + " to do, until about " + st.Ends.Local().Format(stampFormat)
	}
	if st.Scrub != nil && st.Scrub.Late > 0 {
		text += fmt.Sprintf("; %s not read again in time", plural(st.Scrub.Late, "archive"))
	}
	return text
}

const stampFormat = "2006-01-02 15:04"

func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(stampFormat)
}

func tries(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return cli.Clean(s)
}
