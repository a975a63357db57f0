package archive

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"backupfs/internal/deflate"
)

// deflater deflates members by goroutines of its own, and writes them in the order in which they were given. One goroutine
// uses it; stop ends the others.
type deflater struct {
	w    io.Writer
	jobs chan *job // to the workers
	line chan *job // to the writer, in order
	free chan *job // bounds the memory: half a MiB a job
	done sync.WaitGroup

	mu  sync.Mutex // guards err, which the writer sets
	err error      // of the first member that could not be written; none was after it
}

// job is one member on its way, or if flushed is set, a question to the writer.
type job struct {
	m        Member
	tar      []byte
	file     []byte
	deflated chan struct{}
	flushed  chan struct{}
}

func newDeflater(w io.Writer, level, workers int) (*deflater, error) {
	d := &deflater{
		w:    w,
		jobs: make(chan *job, workers),
		line: make(chan *job, workers+2),
		free: make(chan *job, workers+2),
	}
	compressors := make([]*deflate.Compressor, workers)
	for i := range compressors {
		var err error
		if compressors[i], err = deflate.NewCompressor(level); err != nil {
			for _, c := range compressors[:i] {
				c.Close()
			}
			return nil, err
		}
	}
	for range cap(d.free) {
		d.free <- &job{deflated: make(chan struct{}, 1)}
	}
	d.done.Add(workers + 1)
	for _, c := range compressors {
		go d.work(c)
	}
	go d.write()
	return d, nil
}

// buffer returns an empty job, with room for MemberSize bytes of tar. It waits until one is free.
func (d *deflater) buffer() *job {
	j := <-d.free
	if j.tar == nil {
		j.tar = make([]byte, 0, MemberSize)
	}
	j.tar = j.tar[:0]
	return j
}

// put takes a job from buffer, its m filled in but for the sizes.
func (d *deflater) put(j *job) {
	d.line <- j
	d.jobs <- j
}

// flush waits until all that was put is written, or failed to be.
func (d *deflater) flush() error {
	j := &job{flushed: make(chan struct{})}
	d.line <- j
	<-j.flushed
	return d.failed()
}

// failed returns the error that stopped the writing.
func (d *deflater) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// stop waits for the goroutines to end.
func (d *deflater) stop() {
	close(d.jobs)
	close(d.line)
	d.done.Wait()
}

func (d *deflater) work(c *deflate.Compressor) {
	defer d.done.Done()
	defer c.Close()
	for j := range d.jobs {
		j.file = appendMember(j.file[:0], &j.m, j.tar, c)
		j.deflated <- struct{}{}
	}
}

func (d *deflater) write() {
	defer d.done.Done()
	for j := range d.line {
		if j.flushed != nil {
			close(j.flushed)
			continue
		}
		<-j.deflated
		if d.failed() == nil {
			if _, err := d.w.Write(j.file); err != nil {
				d.mu.Lock()
				d.err = err
				d.mu.Unlock()
			}
		}
		d.free <- j
	}
}

// appendMember appends the member that holds tar, and fills in the sizes of m.
func appendMember(dst []byte, m *Member, tar []byte, c *deflate.Compressor) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, MemberHeaderSize)...)
	dst = c.Compress(dst, tar)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(tar))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(tar)))
	m.FileSize, m.TarSize = int64(len(dst)-at), int64(len(tar))
	appendMemberHeader(dst[:at], *m)
	return dst
}
