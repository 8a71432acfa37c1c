package orthanc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// uuidSet is a set of UUIDs that is filled in any order, and then asked in the order of UUIDs. A few are kept in memory; more on disk, in 256
// files by their first byte, so that memory does not grow with their number: 1 MB while it is filled, and afterwards one file at a time,
// some 60 KB for every million UUIDs.
type uuidSet struct {
	dir  string // where it is made when there are more than fewUUIDs
	few  []UUID // all of them, sorted once they are filled in; none when they are on disk
	disk bool
	out  [256]*bufio.Writer
	open [256]*os.File

	first int    // the byte whose UUIDs are in part; -1: none are
	part  []UUID // sorted
	at    int    // in part, where the last one that was asked for belongs
}

// fewUUIDs is how many are kept in memory: 1 MB.
const fewUUIDs = 1 << 16

// newUUIDSet makes an empty set, which may need a folder that is not there yet.
func newUUIDSet(dir string) *uuidSet { return &uuidSet{dir: dir, first: -1} }

func (s *uuidSet) path(first int) string { return filepath.Join(s.dir, fmt.Sprintf("%02x", first)) }

func (s *uuidSet) add(u UUID) error {
	if s.disk {
		return s.write(u)
	}
	if len(s.few) < fewUUIDs {
		s.few = append(s.few, u)
		return nil
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	s.disk = true
	for _, u := range s.few {
		if err := s.write(u); err != nil {
			return err
		}
	}
	s.few = nil
	return s.write(u)
}

// write adds a UUID to the file of its first byte.
func (s *uuidSet) write(u UUID) error {
	if s.out[u[0]] == nil {
		f, err := os.OpenFile(s.path(int(u[0])), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		s.open[u[0]], s.out[u[0]] = f, bufio.NewWriter(f)
	}
	_, err := s.out[u[0]].Write(u[:])
	return err
}

// filled ends the filling.
func (s *uuidSet) filled() error {
	slices.SortFunc(s.few, compareUUID)
	var err error
	for i, f := range s.open {
		if f != nil {
			err = errors.Join(err, s.out[i].Flush(), f.Close())
			s.open[i], s.out[i] = nil, nil
		}
	}
	return err
}

// has says whether a UUID was added. It is quick when it comes behind the one before.
func (s *uuidSet) has(u UUID) (bool, error) {
	if s.first != int(u[0]) {
		if err := s.load(int(u[0])); err != nil {
			return false, err
		}
	}
	if s.at > 0 && compareUUID(u, s.part[s.at-1]) <= 0 { // a list begins anew
		s.at = 0
	}
	for s.at < len(s.part) && compareUUID(s.part[s.at], u) < 0 {
		s.at++
	}
	return s.at < len(s.part) && s.part[s.at] == u, nil
}

// load makes part the UUIDs that begin with a byte.
func (s *uuidSet) load(first int) error {
	if !s.disk {
		from, _ := slices.BinarySearchFunc(s.few, UUID{byte(first)}, compareUUID)
		to := from
		for to < len(s.few) && s.few[to][0] == byte(first) {
			to++
		}
		s.first, s.part, s.at = first, s.few[from:to], 0
		return nil
	}
	raw, err := os.ReadFile(s.path(first))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.first, s.part, s.at = first, s.part[:0], 0
	for ; len(raw) >= 16; raw = raw[16:] {
		s.part = append(s.part, UUID(raw[:16]))
	}
	slices.SortFunc(s.part, compareUUID)
	return nil
}

func compareUUID(a, b UUID) int { return bytes.Compare(a[:], b[:]) }
