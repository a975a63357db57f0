package archive

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A plain tar of Cyrus's tools shows by its entries alone where a run ends, see docs/format.md. One pass over its headers
// finds that out; it takes a file's name in memory for each meta file, never for a message.

// plainRuns is where the runs of a plain tar end, as of a file size.
type plainRuns struct {
	size int64
	ends []int64
}

// runEnds returns the ends of the runs of a plain tar.
func (a *Archive) runEnds() ([]int64, error) {
	size, err := a.size()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plain.size != size {
		ends, err := a.findRunEnds(size)
		if err != nil {
			return nil, err
		}
		a.plain = plainRuns{size, ends}
	}
	return a.plain.ends, nil
}

// stretch is the member of a plain tar at pos: it ends with its run.
func (a *Archive) stretch(pos Position, limit int64, w io.Writer) (Member, error) {
	ends, err := a.runEnds()
	if err != nil {
		return Member{}, err
	}
	i, exact := slices.BinarySearch(ends, pos.File)
	if exact {
		i++
	}
	if pos.File != pos.Tar || i == len(ends) {
		return Member{}, a.damaged(pos.File, fmt.Errorf("no whole entry of a tar stands here"))
	}
	n := min(MemberSize, ends[i]-pos.File, limit-pos.File)
	if w != io.Discard {
		if _, err := io.Copy(w, io.NewSectionReader(a.r, pos.File, n)); err != nil {
			return Member{}, a.failed(pos.File, err)
		}
	}
	return Member{Position: pos, FileSize: n, TarSize: n, Foreign: true}, nil
}

// findRunEnds reads the headers of a plain tar until its end or the first entry that is not whole.
func (a *Archive) findRunEnds(size int64) ([]int64, error) {
	var p plainSplitter
	var block [BlockSize]byte
	start := int64(0) // of the entry, its L and K headers included
	long := ""        // what its L header says
	for off := int64(0); off+BlockSize <= size; {
		if err := a.readAt(block[:], off); err != nil {
			return nil, err
		}
		if block == ([BlockSize]byte{}) {
			off += BlockSize
			start = off
			continue
		}
		e, err := parseHeader(&block)
		if err != nil || contentSize(e) > size-off-BlockSize {
			break
		}
		if e.Type == typeLongName && e.Size <= MaxName {
			name := make([]byte, e.Size)
			if err := a.readAt(name, off+BlockSize); err != nil {
				return nil, err
			}
			long = cString(name)
		}
		off += BlockSize + contentSize(e)
		if e.Type == typeLongName || e.Type == typeLongLink {
			continue
		}
		if long != "" {
			e.Name, long = long, ""
		}
		e.Offset = start
		p.add(e, off)
		start = off
	}
	return p.finish(), nil
}

// plainSplitter cuts the entries of a plain tar into runs. A run of Cyrus's tools holds, in this order: changed meta/ files, links
// of folders that are gone, then folder by folder messages, the folder's files, its link; all links bear the run's time
// (cyrus: perl/imap/lib/Cyrus/Backup.pm BackupUser). What breaks that order may begin a run, and does if a meta file stands in
// it that an earlier run has too: after their compaction, which mixes the runs, none does, and all is one run.
type plainSplitter struct {
	ends    []int64
	seen    map[string]bool // meta files of the runs before
	end     int64           // of the last entry
	current plainRun
	group   plainGroup
}

// plainRun is a stretch of entries that may be a run.
type plainRun struct {
	start int64
	phase int // of the last entry: 0 meta, 1 links gone, 2 folders
	mtime int64
	names map[string]bool // meta files in it, but for those of the current group
}

// plainGroup is the entries of one folder: messages, then its files, then its link. Any other entry is one by itself.
type plainGroup struct {
	start    int64
	messages bool // it has nothing else yet
	folder   string
	names    []string
}

func (p *plainSplitter) add(e Entry, end int64) {
	if p.current.names == nil {
		p.seen, p.current = map[string]bool{}, newPlainRun(e.Offset)
	}
	phase, name, folder := 2, "", ""
	link := strings.HasPrefix(e.Name, "imap/")
	switch {
	case link && e.Linkname == "":
		phase = 1
	case link:
		folder = e.Linkname
	case strings.HasPrefix(e.Name, "meta/"):
		phase, name = 0, e.Name
	case strings.HasPrefix(e.Name, "folders/"):
		folder, _, _ = strings.Cut(e.Name[len("folders/"):], "/")
		name = e.Name
	}

	messages := phase == 2 && folder == ""
	goesOn := phase == 2 && (p.group.folder == folder || p.group.messages) && !slices.Contains(p.group.names, name)
	if !goesOn {
		for _, n := range p.group.names {
			p.current.names[n] = true
		}
		p.group = plainGroup{start: e.Offset}
	}
	if p.current.names[name] || phase < p.current.phase || link && p.current.mtime >= 0 && e.Mtime != p.current.mtime {
		p.close(p.group.start)
		p.current = newPlainRun(p.group.start)
	}
	p.current.phase = phase
	p.group.messages, p.group.folder = messages, folder
	if link {
		p.current.mtime = e.Mtime
		p.group.folder = "/" // the link is a folder's last entry
	}
	if name != "" {
		p.group.names = append(p.group.names, name)
	}
	p.end = end
}

func newPlainRun(start int64) plainRun {
	return plainRun{start: start, mtime: -1, names: map[string]bool{}}
}

// close makes a run of the current stretch, or a part of the run before where nothing in it was seen before.
func (p *plainSplitter) close(at int64) {
	again := false
	for name := range p.current.names {
		again = again || p.seen[name]
		p.seen[name] = true
	}
	if n := len(p.ends); n > 0 && !again {
		p.ends[n-1] = at
	} else if at > p.current.start {
		p.ends = append(p.ends, at)
	}
}

func (p *plainSplitter) finish() []int64 {
	if p.current.names != nil {
		for _, n := range p.group.names {
			p.current.names[n] = true
		}
		p.close(p.end)
	}
	return p.ends
}

// plainRunBegins reports whether a run ends, and the next begins, at an offset.
func (a *Archive) plainRunBegins(at int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := slices.BinarySearch(a.plain.ends, at)
	return ok
}
