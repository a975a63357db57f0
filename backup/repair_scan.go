package backup

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"backupfs/archive"
	"backupfs/index"
)

// repair writes the new archive: it reads the old one forward, run by run.
type repair struct {
	*rewrite
	w      *witness
	opts   RepairOptions
	result Repaired
	isLost map[string]bool // by run and entry; of a message in run 0, too

	chain    *chain
	base     int64 // where in the tar the archive begins that is read: more than 0 for what stands behind another's damage
	fileBase int64 // and where in the file
	unplaced bool  // there was something of which nobody knows where it stood

	known   []index.Run      // of the witness, that did not end yet
	readTo  int64            // in the tar; what the witness knows behind that is lost
	start   int64            // of the run that is read, in the tar
	holes   []stretch        // in it, and perhaps in the next ones
	saved   map[string]bool  // entries that came out of damaged members, since the last run ended
	foreign bool             // another tool wrote a member of the run
	links   []*archive.Entry // of such a run, until its end
	skipped []string         // folders of which the run's cyrus.index is lost and cannot be made again
	lost    []Lost           // in the run
	sum     []Lost           // in all
}

// all reads the old archive, and writes all runs.
func (r *repair) all(ctx context.Context) error {
	r.isLost, r.saved, r.known = map[string]bool{}, map[string]bool{}, r.w.runs
	if a := r.w.arch; a != nil {
		if err := r.read(ctx, a, r.w.end); err != nil {
			return err
		}
		if err := r.tail(ctx, a); err != nil {
			return err
		}
	}
	// What the witness knows behind the end of what is left.
	if n := len(r.known); n > 0 {
		r.hole(max(r.start, r.readTo), r.known[n-1].End.Tar, archive.ErrDamaged)
		if err := r.passed(r.known[n-1].End.Tar); err != nil {
			return err
		}
	}
	if r.result.Runs == 0 {
		return fmt.Errorf("%s: %w: no run of it is left, nor known", r.old, archive.ErrDamaged)
	}
	return nil
}

// tail looks behind the end of what can be read, for whole runs of another tool. What else stands there did not happen.
func (r *repair) tail(ctx context.Context, a *archive.Archive) error {
	_, ok, err := a.ForeignBehind(r.w.end)
	if err != nil || !ok {
		return err
	}
	size, err := a.Size()
	if err != nil {
		return err
	}
	if err := r.chain.rescue(r.w.end, size, nowhere, nil); err != nil {
		return err
	}
	return r.behind(ctx, a, r.w.end.File+1, size)
}

// read reads an archive forward, up to a position.
func (r *repair) read(ctx context.Context, a *archive.Archive, end archive.Position) error {
	r.chain = newChain(a)
	s := a.Scan(archive.Position{}, end, archive.ScanOptions{Resync: true})
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := s.Next()
		if err == io.EOF {
			return r.flush()
		}
		if err == nil {
			err = r.event(ctx, a, e, end)
		}
		if err != nil {
			return err
		}
	}
}

func (r *repair) event(ctx context.Context, a *archive.Archive, e archive.Event, end archive.Position) error {
	switch e.Kind {
	case archive.EventMember:
		m := e.Member
		if r.chain.begins(m) {
			if err := r.flush(); err != nil {
				return err
			}
		}
		if err := r.reached(m.Tar); err != nil {
			return err
		}
		if r.opts.Progress != nil {
			r.opts.Progress(m.File, end.File)
		}
		r.readTo = max(r.readTo, r.base+m.End().Tar)
		if !m.Marker {
			r.foreign = r.foreign || m.Foreign
			r.chain.members = append(r.chain.members, m)
		}
	case archive.EventEntry:
		return r.entry(e.Entry, e.Body)
	case archive.EventRun:
		if err := r.flush(); err != nil {
			return err
		}
		if r.base+e.Run.End.Tar <= r.w.status.End.Tar {
			return r.passed(r.base + e.Run.End.Tar) // the witness knows best where runs end
		}
		return r.endRun(index.Run{Run: e.Run})
	case archive.EventDamage:
		return r.damage(ctx, a, e.Damage, end)
	}
	return nil
}

// entry checks an entry's bytes.
func (r *repair) entry(e archive.Entry, body io.Reader) error {
	r.chain.add(e)
	if e.Type != archive.TypeFile || e.Gone() {
		return nil
	}
	h := sha1.New()
	n, err := io.Copy(h, body)
	if err != nil && !errors.Is(err, archive.ErrDamaged) {
		return err
	}
	want := digestOf(e)
	if err != nil || n != e.Size || want != "" && !strings.EqualFold(want, hex.EncodeToString(h.Sum(nil))) {
		r.chain.whole = false
		r.hole(e.Data, e.Data+max(e.Size, 1), archive.ErrDamaged) // unless it can be had all the same
	}
	return nil
}

// damage looks for what can be had of damaged members, and of those of another tool behind them.
func (r *repair) damage(ctx context.Context, a *archive.Archive, d archive.Damage, end archive.Position) error {
	if d.From.Tar == d.To.Tar {
		return nil // rubbish between two members
	}
	r.chain.drop(d.From)
	if d.From.Tar >= r.chain.end {
		if err := r.flush(); err != nil {
			return err
		}
	}
	to := d.To.Tar
	if to < 0 {
		to = max(end.Tar, d.From.Tar)
	}
	// Behind the first damaged member there may be more, of which only the witness knows where they stand.
	if err := r.reached(d.From.Tar); err != nil {
		return err
	}
	r.hole(d.From.Tar, to, d.Err)
	r.readTo = max(r.readTo, r.base+to)
	next := d.From
	more, err := r.w.ix.MembersIn(r.base+d.From.Tar+1, r.base+to)
	if err != nil {
		return err
	}
	for i := range len(more) + 1 {
		from, limit, upTo := next, d.To.File, to
		if i < len(more) {
			next = archive.Position{File: more[i].File - r.fileBase, Tar: more[i].Tar - r.base}
			if next.File > from.File { // else bytes were moved, and it stands elsewhere
				limit = min(limit, next.File)
			}
			upTo = next.Tar
		}
		if err := r.reached(from.Tar); err != nil {
			return err
		}
		known, err := r.knownIn(from.Tar, upTo)
		if err != nil {
			return err
		}
		if err := r.chain.rescue(from, limit, upTo, known); err != nil {
			return err
		}
		if len(r.chain.pieces) >= maxPieces {
			if err := r.flush(); err != nil {
				return err
			}
			r.chain.whole, r.chain.end = false, nowhere
		}
	}
	if d.To.Tar < 0 {
		return nil // what stands there is looked at last
	}
	return r.behind(ctx, a, d.From.File+1, d.To.File)
}

// knownIn are the entries that the witness knows to have bytes in [from, to) of the tar that is read.
func (r *repair) knownIn(from, to int64) (entries []archive.Entry, err error) {
	stored, err := r.w.ix.StoredIn(r.base+from, r.base+to)
	for _, s := range stored {
		e := archive.Entry{Name: s.Entry, Linkname: s.SHA1.String(), Type: archive.TypeFile, Size: s.Size, Mtime: s.Mtime, Data: s.Tar - r.base}
		e.Offset = e.Data - e.HeadersSize()
		entries = append(entries, e)
	}
	return entries, err
}

// unknownPlace is behind all that a witness knows.
const unknownPlace = 1 << 62

// behind reads what another tool wrote between two places of a damaged archive: of that, nothing says where in the tar it stood, unless
// the witness knows.
func (r *repair) behind(ctx context.Context, a *archive.Archive, from, limit int64) error {
	part, at, ok, err := a.WholeForeign(from, limit)
	if err != nil || !ok {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	outer, base, fileBase := r.chain, r.base, r.fileBase
	r.fileBase += at
	if r.base, ok, err = r.w.ix.TarAt(r.fileBase); err != nil {
		return err
	}
	if !ok {
		r.base, r.unplaced = unknownPlace, true
	} else {
		for i := range r.holes {
			r.holes[i].to = min(r.holes[i].to, max(r.base, r.holes[i].from))
		}
		if err := r.passed(r.base); err != nil {
			return err
		}
	}
	end, err := part.Complete(archive.Position{})
	if err != nil {
		return err
	}
	if err := r.read(ctx, part, end); err != nil {
		return err
	}
	size, err := part.Size()
	if err != nil {
		return err
	}
	if end.File < size { // damaged again
		if err := r.behind(ctx, part, max(end.File, 1), size); err != nil {
			return err
		}
	}
	r.chain, r.base, r.fileBase = outer, base, fileBase
	r.chain.whole, r.chain.end = false, nowhere
	return nil
}

func (r *repair) hole(from, to int64, err error) {
	if from < to {
		r.holes = append(r.holes, stretch{from: r.base + from, to: r.base + to, err: err})
	}
}

// flush writes the chain, and begins another.
func (r *repair) flush() error {
	c := r.chain
	r.chain = newChain(c.a)
	r.chain.end = c.end
	if c.whole && !r.foreign {
		for _, m := range c.members {
			if err := r.app.Copy(c.a, m); err != nil {
				return err
			}
		}
		r.result.Entries += len(c.entries)
		return nil
	}
	for _, e := range c.entries {
		if err := r.take(c, e); err != nil {
			return err
		}
	}
	return nil
}

// take adds an entry, if a digest vouches for it, or the member that it stands in.
func (r *repair) take(c *chain, e archive.Entry) error {
	switch {
	case e.Type == archive.TypeLink && r.foreign:
		r.links = append(r.links, &e) // their form shows when all are known
		return nil
	case e.Type == archive.TypeFile && !e.Gone():
		if c.whole {
			break
		}
		if ok, err := r.believed(c, e); !ok || err != nil || r.saved[e.Name+digestOf(e)] {
			return err
		}
		r.saved[e.Name+digestOf(e)] = true
	}
	_, err := r.app.Add(e, c.body(e))
	if errors.Is(err, archive.ErrEntry) {
		return nil // another tool's, which no reader knows
	}
	r.result.Entries++
	return err
}

// believed says whether an entry's content is right, and its name: that of a message is its digest, any other must be known to the
// witness, or stand in a member that is whole.
func (r *repair) believed(c *chain, e archive.Entry) (bool, error) {
	if !c.proven(e) {
		return false, nil
	}
	if _, whole := c.member(e.Offset); whole || strings.HasPrefix(e.Name, "files/") {
		return true, nil
	}
	known, err := r.w.ix.StoredIn(r.base+e.Data, r.base+e.Data+1)
	for _, k := range known {
		if k.Entry == e.Name && k.SHA1.String() == strings.ToLower(digestOf(e)) {
			return true, nil
		}
	}
	return false, err
}

// reached ends the runs that end before a place that was come to. A run ends with a member.
func (r *repair) reached(tar int64) error {
	if len(r.known) == 0 || r.known[0].End.Tar > r.base+tar {
		return nil
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.chain.end = tar
	return r.passed(r.base + tar)
}

// passed ends the runs that the witness knows to end at a place in the tar or before.
func (r *repair) passed(tar int64) error {
	for len(r.known) > 0 && r.known[0].End.Tar <= tar {
		run := r.known[0]
		r.known = r.known[1:]
		if err := r.endRun(run); err != nil {
			return err
		}
	}
	return nil
}

// endRun completes a run by what the witness knows of what was lost of it, and ends it.
func (r *repair) endRun(run index.Run) error {
	if err := r.endLinks(); err != nil {
		return err
	}
	var later []stretch
	hit := false
	for _, h := range r.holes {
		hit = hit || h.from < run.End.Tar
		if h.to > run.End.Tar {
			later = append(later, stretch{from: max(h.from, run.End.Tar), to: h.to, err: h.err})
		}
	}
	if hit {
		if err := r.complete(run); err != nil {
			return err
		}
	}
	m := run.Marker
	m.User = r.user.Name
	m.Skipped = append(m.Skipped, r.skipped...)
	m.Lost += len(r.lost)
	r.sum = append(r.sum, r.lost...)
	if len(r.known) == 0 {
		if err := r.last(run); err != nil {
			return err
		}
	}
	if _, err := r.app.Finish(m); err != nil {
		return err
	}
	r.result.Runs++
	r.start, r.holes = run.End.Tar, later
	r.skipped, r.lost, r.links, r.foreign = nil, nil, nil, false
	clear(r.saved)
	return nil
}

// endLinks adds the links of a run of another tool by the names that they mean.
func (r *repair) endLinks() error {
	canonical(r.links)
	for _, l := range r.links {
		if _, err := r.app.Add(*l, nil); err != nil {
			return err
		}
		r.result.Entries++
	}
	return nil
}

// last ends the last run with the list of what was lost, and makes the next backup look at each folder again.
func (r *repair) last(run index.Run) error {
	if len(r.sum) > 0 {
		if err := r.file(lostEntry, marshalLost(r.sum), run); err != nil {
			return err
		}
	}
	r.result.Lost = r.sum
	for id, st := range r.w.states {
		if st.Exceptions.Fingerprint == "" || st.Metas["cyrus.index"].Size == 0 {
			continue
		}
		st.Exceptions.Fingerprint = ""
		if err := r.file("folders/"+id+"/cyrus.backupfs", st.Exceptions.Marshal(), run); err != nil {
			return err
		}
	}
	return nil
}
