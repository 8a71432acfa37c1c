package pixel

import "unsafe"

// expandFew is expand in portable Go. n is a multiple of four.
func (b *block) expandFew(at, n int) {
	if n == 0 {
		return
	}
	here, tokens, _ := b.pointers(at, n)
	for ; n > 0; n -= 4 {
		v := unpack4(at4(tokens, 0))
		if anyEscape(v) {
			v = b.extended(v)
		}
		put8(here, 0, unzigzag4(v))
		here, tokens = unsafe.Add(here, 8), unsafe.Add(tokens, 4)
	}
}

// extended gives the zig-zagged residuals of four tokens, and takes their extra bytes, the last ones again when they are used up.
// Like escaped, it takes no branch for those of one byte.
func (b *block) extended(v uint64) (out uint64) {
	extra := (*[8]byte)(b.extra[min(b.extraAt, len(b.extra)-8):])
	n := 0
	for k := range 4 {
		t := int32(v >> (16 * k) & 0xff)
		over := t - direct
		below := over >> 31 // all ones when t has no extra byte
		z := t&below | (direct+over<<8+int32(extra[n&7]))&^below
		n += int(1 + below)
		if t == escape {
			z = int32(extra[(n-1)&7]) | int32(extra[n&7])<<8
			n++
		}
		out |= uint64(z) << (16 * k)
	}
	b.extraAt += n
	return out
}
