package dicomtest

import (
	"encoding/binary"
	"math/rand/v2"
)

const tagPixelData = 0x7fe00010

// native is the element of pixel data that is not compressed.
func (s *series) native(z int) element {
	r := random("pixels", s.uid, z)
	var value []byte
	if s.frames == 0 {
		value = s.painter.paint(r, z)
	}
	for f := range s.frames {
		value = append(value, s.painter.paint(r, f)...)
	}
	if s.stored > 8 {
		return element{tag: tagPixelData, vr: "OW", value: value}
	}
	vr := "OB"
	if s.Syntax == ImplicitLE {
		vr = "OW"
	}
	return element{tag: tagPixelData, vr: vr, value: s.colour(value)}
}

// colour makes RGB of 16-bit grey samples up to 255: grey, but for a box of flow as colour Doppler shows it.
func (s *series) colour(grey []byte) []byte {
	rgb := make([]byte, 0, len(grey)/2*3+1)
	for i := 0; i < len(grey); i += 2 {
		x, y := i/2%s.cols, i/2/s.cols%s.rows
		g := grey[i]
		red, blue := g, g
		if g < 40 && x > s.cols/3 && x < s.cols/2 && y > s.rows/3 && y < s.rows/2 {
			red, blue = 180+g, g/2
		}
		rgb = append(rgb, red, g, blue)
	}
	if len(rgb)%2 == 1 {
		rgb = append(rgb, 0)
	}
	return rgb
}

// encapsulated is the element of a compressed image (PS3.5 section A.4): a Basic Offset Table, then a code stream in
// one to three fragments.
func (s *series) encapsulated(z int) element {
	r := random("pixels", s.uid, z)
	stream := codeStream(r, s.cols, s.rows)
	fragments := [][]byte{{0, 0, 0, 0}} // the only frame begins at 0
	for n := r.IntN(3); n > 0; n-- {
		cut := len(stream) / (n + 1) &^ 1
		fragments = append(fragments, stream[:cut])
		stream = stream[cut:]
	}
	return element{tag: tagPixelData, vr: "OB", fragments: append(fragments, stream)}
}

// codeStream looks like a lossless JPEG 2000 code stream (ISO 15444-1 annex A): the markers SOC, SIZ, SOT, SOD, EOC
// with noise in between, in which no byte pair is a marker.
func codeStream(r *rand.Rand, cols, rows int) []byte {
	be := binary.BigEndian
	b := []byte{0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0}
	for _, v := range []int{cols, rows, 0, 0, cols, rows, 0, 0} {
		b = be.AppendUint32(b, uint32(v))
	}
	b = append(b, 0, 1, 11, 1, 1)
	b = append(b, 0xff, 0x90, 0, 10, 0, 0)
	b = append(be.AppendUint32(b, 0), 0, 1, 0xff, 0x93) // tile of unknown length
	n := cols*rows*2/5 + r.IntN(cols*rows/10+1)
	for len(b) < n {
		v := r.Uint64()
		for range 8 {
			if len(b) > 0 && b[len(b)-1] == 0xff {
				v &^= 0x80
			}
			b = append(b, byte(v))
			v >>= 8
		}
	}
	b[len(b)-1] = 0
	b = append(b, 0xff, 0xd9)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	return b
}
