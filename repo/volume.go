package repo

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

const (
	volumePrefix = "volume-"
	shapeSize    = 20
	maxBlobs     = 1<<32 - 1 // of a volume
)

// shape is what index.bolt says of a volume.
type shape struct {
	packs, blobs, filterPages, homes, pages uint32

	seed uint32 // the beginning of its name: what its checksums go on from
}

func (s shape) filterAt() int64 {
	return (int64(s.packs)*packCellSize + filterPageSize - 1) / filterPageSize * filterPageSize
}
func (s shape) pagesAt() int64 { return s.filterAt() + int64(s.filterPages)*filterPageSize }
func (s shape) size() int64    { return s.pagesAt() + int64(s.pages)*pageSize }

func (s shape) marshal() []byte {
	out := make([]byte, 0, shapeSize)
	for _, n := range [...]uint32{s.packs, s.blobs, s.filterPages, s.homes, s.pages} {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return out
}

func parseShape(b []byte) (s shape, err error) {
	if len(b) != shapeSize {
		return s, fmt.Errorf("%w: a volume's entry has %d bytes", errDerived, len(b))
	}
	for i, n := range [...]*uint32{&s.packs, &s.blobs, &s.filterPages, &s.homes, &s.pages} {
		*n = binary.LittleEndian.Uint32(b[4*i:])
	}
	if s.blobs == 0 || s.packs == 0 || s.packs > s.blobs || s.filterPages != filterPages(s.blobs) || s.homes != homesFor(s.blobs) || s.pages < s.homes {
		return s, fmt.Errorf("%w: a volume's entry does not add up", errDerived)
	}
	return s, nil
}

// volume is an open volume (FORMAT.md section 14): packs, filter and entries, which never change. It may be read by several goroutines.
type volume struct {
	shape
	path    string // empty: a private file that has no name any more, or goes when it is closed
	file    *os.File
	random  randomFile // the same
	filter  filter
	entries entryPages
	listed  atomic.Bool  // index.bolt names it
	users   atomic.Int32 // the owner, and whoever walks through it
}

// newVolumeFile makes a file for a volume: in the catalogue's folder, or a private one when dir is empty. A private file has
// lost its name already where the system permits that, so that nothing is left of it whatever happens.
func newVolumeFile(dir string) (file *os.File, path string, seed uint32, err error) {
	var name [8]byte
	fillRandom(name[:])
	seed = binary.BigEndian.Uint32(name[:])
	if dir == "" {
		if file, err = os.CreateTemp("", "orthokeep-"+volumePrefix+"*"); err != nil {
			return nil, "", 0, err
		}
		if os.Remove(file.Name()) == nil {
			return file, "", seed, nil
		}
		return file, file.Name(), seed, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", 0, err
	}
	path = filepath.Join(dir, volumePrefix+hex.EncodeToString(name[:]))
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return file, path, seed, err
}

// newVolume reads a file of the given shape, which is the volume's from here on.
func newVolume(file *os.File, path string, s shape) *volume {
	v := &volume{shape: s, path: path, file: file}
	v.random.file, v.random.size = file, s.size()
	v.entries = entryPages{&v.random, s.pagesAt(), s.homes, s.pages, s.seed}
	v.filter.in, v.filter.at, v.filter.count, v.filter.seed = file, s.filterAt(), s.filterPages, s.seed
	v.users.Store(1)
	return v
}

// openVolume opens a volume that index.bolt names.
func openVolume(dir, name string, s shape) (*volume, error) {
	digits, _ := strings.CutPrefix(name, volumePrefix)
	id, err := hex.DecodeString(digits)
	if err != nil || len(id) != 8 {
		return nil, fmt.Errorf("%w: %q is not the name of a volume", errDerived, name)
	}
	s.seed = binary.BigEndian.Uint32(id)
	path := filepath.Join(dir, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing", errDerived, name)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || info.Size() != s.size() {
		return nil, errors.Join(fmt.Errorf("%w: %s has another length", errDerived, name), err, file.Close())
	}
	v := newVolume(file, path, s)
	v.listed.Store(true)
	return v, nil
}

func (v *volume) name() string { return filepath.Base(v.path) }

func (v *volume) acquire() { v.users.Add(1) }

// release closes the volume after its last user. What no index.bolt names is deleted then.
func (v *volume) release() {
	if v.users.Add(-1) > 0 {
		return
	}
	v.filter.close()
	v.random.close()
	_ = v.file.Close() // derived, and what counts was synced
	if !v.listed.Load() && v.path != "" {
		_ = os.Remove(v.path) // what stays is deleted when it is a day old
	}
}

// find calls visit for each entry of an ID until visit wants no more, and reports whether it still does.
func (v *volume) find(id ID, visit func(entry) (more bool, err error)) (bool, error) {
	if may, err := v.filter.mayHold(prefixOf(id)); !may || err != nil {
		return true, err
	}
	return v.entries.find(id, visit)
}

// pack reads pack number n.
func (v *volume) pack(n uint32) (packCell, error) {
	if n >= v.packs {
		return packCell{}, fmt.Errorf("%w: a pack beyond the last", errDerived)
	}
	var b [packCellSize]byte
	if _, err := v.random.ReadAt(b[:], int64(n)*packCellSize); err != nil {
		return packCell{}, fmt.Errorf("%w: read a pack: %w", errDerived, err)
	}
	return parsePackCell(b[:], v.seed, n)
}

func (v *volume) extent() shape { return v.shape }

func (v *volume) allPacks() io.Reader {
	return bufferedReader(io.NewSectionReader(v.file, 0, int64(v.packs)*packCellSize))
}

func (v *volume) allEntries() entrySource {
	in := io.NewSectionReader(v.file, v.pagesAt(), int64(v.shape.pages)*pageSize)
	return &pageReader{in: bufferedReader(in), pages: v.shape.pages, seed: v.seed}
}
