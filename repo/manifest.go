package repo

import (
	"encoding/binary"
	"fmt"
	"maps"
)

// manifest is what index.bolt says, volumes apart, and what has changed since it was read or committed.
type manifest struct {
	generation uint64 // of index.bolt; 0 when there is none
	next       uint32 // number of the next segment
	segments   map[string]segmentState
	epochs     map[[16]byte]uint32 // of packs; their numbers, from 1 on
	epochIDs   [][16]byte          // by number, less one

	rearranged bool // volumes are others than index.bolt says

	dead      map[uint32]bool // numbers of segments that are not live and may have records; replaced, never changed
	changed   map[string]bool // segments that index.bolt does not say yet, or says otherwise
	newEpochs int             // the last ones, which index.bolt does not say yet
}

// segmentState is what the catalogue knows of a segment.
type segmentState struct {
	number uint32 // in the records of its packs; 0 when there are none
	live   bool   // false when another segment supersedes it
	absent bool   // superseded, and not seen in the storage yet: a listing may show it later
	blobs  uint32
}

const (
	segmentStateSize = 12
	stateLive        = 1
	stateSuperseded  = 2
	stateAbsent      = 3
)

func newManifest() manifest {
	return manifest{next: 1, segments: map[string]segmentState{}, epochs: map[[16]byte]uint32{}, dead: map[uint32]bool{}, changed: map[string]bool{}}
}

func (s segmentState) marshal() []byte {
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, segmentStateSize), s.number)
	state := byte(stateSuperseded)
	if s.live {
		state = stateLive
	} else if s.absent {
		state = stateAbsent
	}
	return binary.LittleEndian.AppendUint32(append(out, state, 0, 0, 0), s.blobs)
}

func parseSegmentState(b []byte) (segmentState, error) {
	if len(b) != segmentStateSize || b[4] < stateLive || b[4] > stateAbsent || b[5]|b[6]|b[7] != 0 {
		return segmentState{}, fmt.Errorf("%w: the state of a segment is out of bounds", errDerived)
	}
	return segmentState{binary.LittleEndian.Uint32(b), b[4] == stateLive, b[4] == stateAbsent, binary.LittleEndian.Uint32(b[8:])}, nil
}

// number returns a number for a segment.
func (m *manifest) number() uint32 {
	m.next++
	return m.next - 1
}

func (m *manifest) set(name string, s segmentState) {
	m.segments[name], m.changed[name] = s, true
}

// epochNumber returns the number of an epoch, a new one where it has none yet.
func (m *manifest) epochNumber(id [16]byte) uint32 {
	n, ok := m.epochs[id]
	if !ok {
		m.epochIDs = append(m.epochIDs, id)
		m.newEpochs++
		n = uint32(len(m.epochIDs))
		m.epochs[id] = n
	}
	return n
}

// epochID is the inverse of epochNumber.
func (m *manifest) epochID(n uint32) (id [16]byte, err error) {
	if n == 0 || int(n) > len(m.epochIDs) {
		return id, fmt.Errorf("%w: an epoch that it does not have", errDerived)
	}
	return m.epochIDs[n-1], nil
}

// supersede takes segments out of use. The storage has those that are present.
func (m *manifest) supersede(names []string, present map[string]bool) {
	dead := maps.Clone(m.dead)
	for _, name := range names {
		s := m.segments[name]
		if s.number != 0 {
			dead[s.number] = true
		}
		s.live, s.absent = false, !present[name]
		m.set(name, s)
	}
	m.dead = dead
}

// lost reports whether a live segment is not among those present.
func (m *manifest) lost(present map[string]bool) bool {
	for name, s := range m.segments {
		if s.live && !present[name] {
			return true
		}
	}
	return false
}

// forget drops superseded segments that are gone and have no records left.
func (m *manifest) forget(present map[string]bool) {
	for name, s := range m.segments {
		switch {
		case s.absent && present[name]:
			s.absent = false
			m.set(name, s)
		case !s.live && !s.absent && s.number == 0 && !present[name]:
			delete(m.segments, name)
			m.changed[name] = true
		}
	}
}

// buried notes that no record of a superseded segment is left.
func (m *manifest) buried() {
	for name, s := range m.segments {
		if !s.live && s.number != 0 {
			m.set(name, segmentState{absent: s.absent})
		}
	}
	m.dead = map[uint32]bool{}
}

// committed notes that index.bolt says all this.
func (m *manifest) committed(generation uint64) {
	m.generation, m.rearranged = generation, false
	m.changed, m.newEpochs = map[string]bool{}, 0
}

func (m *manifest) isChanged() bool { return len(m.changed) > 0 || m.rearranged }
