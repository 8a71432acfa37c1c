package pixel

import "encoding/binary"

// load turns len(dst)/2 samples at the start of src into the form in which they are predicted.
func (f *format) load(dst, src []byte) {
	switch {
	case f.has(flagColour):
		for i, j := 0, 0; i+6 <= len(dst); i, j = i+6, j+3 {
			r, g, b := uint16(src[j]), uint16(src[j+1]), uint16(src[j+2])
			binary.LittleEndian.PutUint16(dst[i:], 256+r-g)
			binary.LittleEndian.PutUint16(dst[i+2:], g)
			binary.LittleEndian.PutUint16(dst[i+4:], 256+b-g)
		}
	case f.has(flagBytes):
		n := len(dst) / 2
		i := 0
		for ; i+4 <= n; i += 4 {
			binary.LittleEndian.PutUint64(dst[2*i:], unpack4(binary.LittleEndian.Uint32(src[i:])))
		}
		for ; i < n; i++ {
			dst[2*i], dst[2*i+1] = src[i], 0
		}
	default:
		f.reorder(dst, src[:len(dst)], f.flip())
	}
}

// flip is the bits that are flipped in four samples once their low byte is first.
func (f *format) flip() uint64 {
	if f.has(flagSigned) {
		return highLanes
	}
	return 0
}

// store is the inverse of load.
func (f *format) store(dst, src []byte) {
	switch {
	case f.has(flagColour):
		for i, j := 0, 0; j+3 <= len(dst); i, j = i+6, j+3 {
			r, g, b := src[i], src[i+2], src[i+4]
			dst[j], dst[j+1], dst[j+2] = r+g, g, b+g
		}
	case f.has(flagBytes):
		i := 0
		for ; i+4 <= len(dst); i += 4 {
			v := binary.LittleEndian.Uint64(src[2*i:]) & 0x00ff00ff00ff00ff
			binary.LittleEndian.PutUint32(dst[i:], pack4(v))
		}
		for ; i < len(dst); i++ {
			dst[i] = src[2*i]
		}
	default:
		flip := f.flip()
		if f.has(flagBigEndian) {
			flip >>= 8
		}
		f.reorder(dst, src[:len(dst)], flip)
	}
}

// reorder copies 16-bit samples, swapping their bytes where the format says so, and flips the bits of flip in each.
func (f *format) reorder(dst, src []byte, flip uint64) {
	if flip == 0 && !f.has(flagBigEndian) {
		copy(dst, src)
		return
	}
	const low = 0x00ff00ff00ff00ff
	swap := f.has(flagBigEndian)
	i := 0
	for ; i+8 <= len(dst) && i+8 <= len(src); i += 8 {
		v := load(src, i)
		if swap {
			v = v>>8&low | v&low<<8
		}
		binary.LittleEndian.PutUint64(dst[i:], v^flip)
	}
	for ; i+2 <= len(dst); i += 2 {
		v := binary.LittleEndian.Uint16(src[i:])
		if swap {
			v = v<<8 | v>>8
		}
		binary.LittleEndian.PutUint16(dst[i:], v^uint16(flip))
	}
}
