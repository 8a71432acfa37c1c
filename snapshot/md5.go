package snapshot

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"math"
	"unsafe"
)

// MD5 is the dearest stage of a backup: its steps wait for each other, so that one message alone leaves most of a core idle. Sixteen
// messages side by side, in the lanes of AVX-512, take a sixth of the time for each.
const (
	md5Lanes = 16
	minLanes = 4 // fewer are as quick one after the other
	md5Block = 64
)

// md5Constants are those of RFC 1321.
var md5Constants = func() (t [64]uint32) {
	for i := range t {
		t[i] = uint32(math.Floor(math.Abs(math.Sin(float64(i+1))) * (1 << 32)))
	}
	return t
}()

// A span is a message: part of a buffer.
type span struct{ from, to int }

// md5Sums appends the MD5 of each of the messages in buf, which is shorter than 2 GB, to sums.
func md5Sums(sums [][16]byte, buf []byte, messages []span) [][16]byte {
	first, next := len(sums), 0
	sums = append(sums, make([][16]byte, len(messages))...)
	if useAVX512 && len(messages) >= minLanes {
		l := lanes{buf: buf, sums: sums[first:]}
		for ; next < len(messages) && l.used < md5Lanes; next++ {
			l.used++
			l.start(l.used-1, next, messages[next])
		}
		for l.used >= minLanes {
			done := l.run()
			l.finish(done)
			if next < len(messages) {
				l.start(done, next, messages[next])
				next++
			} else {
				l.remove(done)
			}
		}
		for ; l.used > 0; l.used-- {
			l.finish(l.used - 1)
		}
	}
	for ; next < len(messages); next++ {
		sums[first+next] = md5.Sum(buf[messages[next].from:messages[next].to])
	}
	return sums
}

// lanes are messages under way, in the first used lanes. The others repeat what the first one does.
type lanes struct {
	buf     []byte
	sums    [][16]byte // by message
	used    int
	state   [4][md5Lanes]uint32
	message [md5Lanes]int
	rest    [md5Lanes]span // of the message
	length  [md5Lanes]int  // of the message, in bytes
}

// start lets a lane begin with a message.
func (l *lanes) start(lane, message int, m span) {
	l.message[lane], l.rest[lane], l.length[lane] = message, m, m.to-m.from
	for i, v := range [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476} {
		l.state[i][lane] = v
	}
}

// run goes on until one of the messages has no whole block left, and returns its lane.
func (l *lanes) run() (done int) {
	for i, r := range l.rest[:l.used] {
		if r.to-r.from < l.rest[done].to-l.rest[done].from {
			done = i
		}
	}
	n := (l.rest[done].to - l.rest[done].from) / md5Block
	if n == 0 {
		return done
	}
	var offsets [md5Lanes]uint32
	for i := range offsets {
		if i < l.used {
			offsets[i] = uint32(l.rest[i].from)
			l.rest[i].from += n * md5Block
		} else {
			offsets[i] = offsets[0]
		}
	}
	blocks16(&l.state, unsafe.Pointer(unsafe.SliceData(l.buf)), &offsets, n, &md5Constants)
	return done
}

// finish takes in what is left of the message of a lane, and notes its sum.
func (l *lanes) finish(lane int) {
	// The form in which crypto/md5 keeps its state: four words, a block that is not full, and the length so far.
	state := append(make([]byte, 0, 92), "md5\x01"...)
	for i := range l.state {
		state = binary.BigEndian.AppendUint32(state, l.state[i][lane])
	}
	rest := l.rest[lane]
	state = append(state, make([]byte, md5Block)...)
	state = binary.BigEndian.AppendUint64(state, uint64(l.length[lane]-(rest.to-rest.from)))
	h := md5.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic("snapshot: " + err.Error()) // its form is fixed
	}
	_, _ = h.Write(l.buf[rest.from:rest.to])
	h.Sum(l.sums[l.message[lane]][:0])
}

// remove gives up a lane: the last one takes its place.
func (l *lanes) remove(lane int) {
	l.used--
	l.message[lane], l.rest[lane], l.length[lane] = l.message[l.used], l.rest[l.used], l.length[l.used]
	for i := range l.state {
		l.state[i][lane] = l.state[i][l.used]
	}
}
