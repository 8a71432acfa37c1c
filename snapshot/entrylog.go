package snapshot

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/orthokeep/orthokeep/repo"
)

const (
	logHead   = 8       // bytes before an entry: its length and its checksum
	logUnit   = 16      // bytes: every record is a whole number of these
	logWindow = 4 << 10 // bytes that are read at once: entries are asked for in the order in which they came, mostly
	logBuffer = 1 << 20
)

// entryLog is the file of provisional entries (FORMAT.md section 6). Of each entry it holds in memory where it stands, in 22 bytes or
// less. It is for one goroutine that appends and accepts, and others that get meanwhile.
type entryLog struct {
	file hostFile
	seed uint32 // what checksums go on from
	end  int64  // bytes that count

	fresh []placedUUID // appended, not accepted

	mu       sync.Mutex // of all below
	table    placeTable
	window   []byte // of the file, from windowAt on
	windowAt int64
}

type placedUUID struct {
	uuid  UUID
	place uint32 // in the file, in units
}

// load finds the entries of a log just opened, of which end bytes count and whose heads lie in these chunks, and cuts off the rest. The error
// matches repo.ErrCorrupt when they are not what was written: the log is to be reset then.
func (l *entryLog) load(heads []headRef) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if l.end < 0 || info.Size() < l.end {
		return fmt.Errorf("provisional entries are cut short: %w", repo.ErrCorrupt)
	}
	if err := l.file.Truncate(l.end); err != nil {
		return err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(l.file, 0, l.end), logBuffer)
	var e Entry
	var record []byte
	for at := int64(0); at < l.end; at += int64(len(record)) {
		head, err := in.Peek(logHead)
		if err == nil {
			record = append(record[:0], make([]byte, recordSize(head))...)
			_, err = io.ReadFull(in, record)
		}
		if err == nil {
			err = l.parse(record, &e)
		}
		for _, headErr := range e.headParts(heads) {
			err = cmp.Or(err, headErr)
		}
		if err == nil {
			err = l.place(e.UUID, uint32(at/logUnit))
		}
		if err != nil {
			return fmt.Errorf("provisional entry at %d: %w: %w", at, repo.ErrCorrupt, err)
		}
	}
	return nil
}

// recordSize is the length of a record by its first bytes; that of an impossible one is that of the longest.
func recordSize(head []byte) int {
	n := logHead + int(min(binary.LittleEndian.Uint32(head), maxBlock))
	return (n + logUnit - 1) / logUnit * logUnit
}

// parse reads a record into e, whose memory for bulk is used again.
func (l *entryLog) parse(record []byte, e *Entry) error {
	n := binary.LittleEndian.Uint32(record)
	if n > maxBlock || binary.LittleEndian.Uint32(record[4:]) != crc32.Update(l.seed, castagnoli, record[logHead:]) {
		return fmt.Errorf("not what was written: %w", repo.ErrCorrupt)
	}
	rest, err := e.parse(record[logHead:logHead+n], 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("followed by something else: %w", repo.ErrCorrupt)
	}
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append writes entries behind those that count, and returns what the length will be. It is durable, and found only once it is accepted.
func (l *entryLog) append(entries []Entry) (end int64, err error) {
	l.fresh = l.fresh[:0]
	out := bufio.NewWriterSize(io.NewOffsetWriter(l.file, l.end), logBuffer)
	end = l.end
	var record []byte
	for i := range entries {
		if record, err = l.record(record[:0], &entries[i]); err != nil {
			return 0, err
		}
		if end/logUnit > maxPlace {
			return 0, errors.New("there are too many provisional entries")
		}
		l.fresh = append(l.fresh, placedUUID{entries[i].UUID, uint32(end / logUnit)})
		if _, err := out.Write(record); err != nil {
			return 0, err
		}
		end += int64(len(record))
	}
	return end, errors.Join(out.Flush(), l.file.Sync())
}

// record makes the record of an entry in dst.
func (l *entryLog) record(dst []byte, e *Entry) ([]byte, error) {
	dst = e.append(append(dst, make([]byte, logHead)...), 0)
	n := len(dst) - logHead
	if n > maxBlock {
		return nil, fmt.Errorf("attachment %s has too many chunks for a manifest", e.UUID)
	}
	binary.LittleEndian.PutUint32(dst, uint32(n))
	dst = append(dst, make([]byte, recordSize(dst)-len(dst))...)
	binary.LittleEndian.PutUint32(dst[4:], crc32.Update(l.seed, castagnoli, dst[logHead:]))
	return dst, nil
}

// accept makes what was appended last count.
func (l *entryLog) accept(end int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = end
	for _, p := range l.fresh {
		if err := l.place(p.uuid, p.place); err != nil {
			return err
		}
	}
	return nil
}

// place notes where the latest entry of a UUID stands.
func (l *entryLog) place(u UUID, place uint32) error {
	l.table.reserve()
	var e Entry
	slot, _, err := l.find(u, &e)
	if err == nil {
		l.table.set(slot, placeHash(u), place)
	}
	return err
}

// find returns the slot of a UUID and reads its entry, or the slot where it belongs.
func (l *entryLog) find(u UUID, e *Entry) (slot int, ok bool, err error) {
	hash := placeHash(u)
	for slot = l.table.home(hash); ; slot = l.table.next(slot) {
		place, used, match := l.table.at(slot, hash)
		if !used {
			return slot, false, nil
		}
		if !match {
			continue
		}
		if err := l.read(int64(place)*logUnit, e); err != nil || e.UUID == u {
			return slot, err == nil, err
		}
	}
}

// read reads the entry at an offset.
func (l *entryLog) read(at int64, e *Entry) error {
	head, err := l.view(at, logHead)
	if err != nil {
		return err
	}
	record, err := l.view(at, recordSize(head))
	if err != nil {
		return err
	}
	return l.parse(record, e)
}

// view returns n bytes of the file, valid until the following call.
func (l *entryLog) view(at int64, n int) ([]byte, error) {
	from := at - l.windowAt
	if from < 0 || from+int64(n) > int64(len(l.window)) {
		size := min(max(int64(n), logWindow), l.end-at)
		if size < int64(n) {
			return nil, io.ErrUnexpectedEOF
		}
		l.window, l.windowAt, from = append(l.window[:0], make([]byte, size)...), at, 0
		if _, err := l.file.ReadAt(l.window, at); err != nil {
			l.window = nil
			return nil, err
		}
	}
	return l.window[from : from+int64(n)], nil
}

// get returns the latest entry of a UUID. One that cannot be read is not there.
func (l *entryLog) get(u UUID) (e Entry, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.table.used > 0 {
		_, ok, _ = l.find(u, &e)
	}
	return e, ok
}

// reset forgets all entries; the next ones have another seed.
func (l *entryLog) reset(seed uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seed, l.end, l.fresh, l.table, l.window = seed, 0, nil, placeTable{}, nil
	return l.file.Truncate(0)
}

func (l *entryLog) close() error { return l.file.Close() }
