package orthanc

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// WAL is what a write-ahead log beside an index copy holds, by the rules of https://sqlite.org/walformat.html. The zero
// value is no log, or an empty one.
type WAL struct {
	Size      int64  // of the file, in bytes
	PageSize  int    // in bytes
	Salt      uint64 // both salts of the header: they change when the log begins again
	Committed int    // frames up to and with the last valid commit: what a replay brings
	Pages     uint32 // of the database after that commit; 0 when nothing is committed
	Pending   int    // whole frames behind it, of a transaction that was under way
	Torn      bool   // the frame behind those carries the log's salts, but not its checksum or its full length
}

const (
	walMagic       = 0x377f0682 // with big-endian checksums one more
	walVersion     = 3007000
	walHeaderSize  = 32
	walFrameHeader = 24
)

// readWAL reads a whole log and checks each frame. A file that is absent or empty is no log. A header that is not valid is an
// error that matches ErrIndex: SQLite would pass over such a log in silence, and all that it holds. Frames of an
// earlier round of the log, behind the current ones, are not counted.
func readWAL(path string) (WAL, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return WAL{}, nil
	}
	if err != nil {
		return WAL{}, fmt.Errorf("read log of index: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return WAL{}, fmt.Errorf("read log of index: %w", err)
	}
	if !info.Mode().IsRegular() {
		return WAL{}, fmt.Errorf("%w: log: not a regular file", ErrIndex)
	}
	if info.Size() == 0 {
		return WAL{}, nil
	}
	w, err := parseWAL(bufio.NewReaderSize(f, 1<<20))
	w.Size = info.Size()
	if err != nil && !errors.Is(err, ErrIndex) {
		err = fmt.Errorf("read log of index: %w", err)
	}
	return w, err
}

// walRound returns the salts of a log that is being written: they stand for one round of it, from its beginning to the next
// (https://sqlite.org/fileformat2.html, section 4.3). It reports false where its header is just being written.
func walRound(log io.ReaderAt) (salt uint64, ok bool) {
	var header [walHeaderSize]byte
	if _, err := log.ReadAt(header[:], 0); err != nil {
		return 0, false
	}
	w, _, err := parseWALHeader(header)
	return w.Salt, err == nil
}

func parseWAL(r io.Reader) (WAL, error) {
	var header [walHeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
		return WAL{}, fmt.Errorf("%w: log: header cut short", ErrIndex)
	} else if err != nil {
		return WAL{}, err
	}
	w, sum, err := parseWALHeader(header)
	if err != nil {
		return WAL{}, err
	}
	return w, w.parseFrames(r, sum)
}

// parseWALHeader returns the log without its frames, and the checksum that they go on from.
func parseWALHeader(header [walHeaderSize]byte) (WAL, walSum, error) {
	magic := binary.BigEndian.Uint32(header[0:])
	sum := walSum{order: binary.ByteOrder(binary.LittleEndian)}
	if magic == walMagic+1 {
		sum.order = binary.BigEndian
	}
	w := WAL{PageSize: int(binary.BigEndian.Uint32(header[8:])), Salt: binary.BigEndian.Uint64(header[16:])}
	sum.add(header[:24])
	var err error
	switch {
	case magic != walMagic && magic != walMagic+1:
		err = fmt.Errorf("%w: log: not a write-ahead log", ErrIndex)
	case binary.BigEndian.Uint32(header[4:]) != walVersion:
		err = fmt.Errorf("%w: log: version %d", ErrIndex, binary.BigEndian.Uint32(header[4:]))
	case !validPageSize(w.PageSize):
		err = fmt.Errorf("%w: log: page size %d", ErrIndex, w.PageSize)
	case !sum.is(header[24:]):
		err = fmt.Errorf("%w: log: checksum of the header", ErrIndex)
	}
	return w, sum, err
}

// parseFrames reads frames up to the first that does not belong to the log.
func (w *WAL) parseFrames(r io.Reader, sum walSum) error {
	frame := make([]byte, walFrameHeader+w.PageSize)
	for {
		n, err := io.ReadFull(r, frame)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		if n < 16 || binary.BigEndian.Uint64(frame[8:]) != w.Salt {
			return nil
		}
		sum.add(frame[:8])
		sum.add(frame[walFrameHeader:])
		if err != nil || binary.BigEndian.Uint32(frame) == 0 || !sum.is(frame[16:]) {
			w.Torn = true
			return nil
		}
		w.Pending++
		if pages := binary.BigEndian.Uint32(frame[4:]); pages != 0 {
			w.Committed, w.Pending, w.Pages = w.Committed+w.Pending, 0, pages
		}
	}
}

// validPageSize says whether SQLite knows pages of that many bytes.
func validPageSize(size int) bool { return size >= 512 && size <= 65536 && size&(size-1) == 0 }

// walSum is the running checksum of a log.
type walSum struct {
	order  binary.ByteOrder
	a1, a2 uint32
}

// add takes in data, whose length is a multiple of 8.
func (s *walSum) add(data []byte) {
	for ; len(data) >= 8; data = data[8:] {
		s.a1 += s.order.Uint32(data) + s.a2
		s.a2 += s.order.Uint32(data[4:]) + s.a1
	}
}

// is compares the sum with a stored one.
func (s *walSum) is(stored []byte) bool {
	return s.a1 == binary.BigEndian.Uint32(stored) && s.a2 == binary.BigEndian.Uint32(stored[4:])
}
