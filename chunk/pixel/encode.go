package pixel

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// Encoder codes pixel data. It keeps its buffers from call to call and is for one goroutine; the zero value is ready.
type Encoder struct {
	Level Level

	block    block
	sections sectionWriter
	palette  palette
	streams  []byte
	zstd     *zstd.Encoder
	scratch  []byte
}

// Encode appends the coded form of src, whose samples lie as l says, to dst and returns true. It returns dst unchanged and
// false when the layout is not one that pixel coding helps, or when the coded form would not be smaller than src. It holds
// about 2 MB and two rows between calls, and a zstd encoder once there was an image so plain that zstd might be better.
func (e *Encoder) Encode(dst, src []byte, l Layout) ([]byte, bool) {
	f, ok := formatOf(src, l)
	if !ok {
		return dst, false
	}
	start := len(dst)
	n := f.samples(len(src))
	samples := src[f.lead:]
	e.block.begin(f.grid, n)
	k := min(n, f.grid.blockSamples())
	if e.usePalette(f, samples, n) { // which leaves the first k samples in the block
		f.flags |= flagPalette
		e.palette.replace(e.block.body(k))
	}
	f.start = uint16(e.block.at(0))
	e.block.fill(f.start)
	dst = f.append(dst, src)
	if f.has(flagPalette) {
		dst = e.palette.append(dst, &e.sections)
	}
	for {
		dst = e.appendBlock(dst, k)
		if len(dst)-start >= len(src) {
			return dst[:start], false
		}
		samples = samples[k*f.sampleBytes():]
		e.block.advance(k)
		if n -= k; n == 0 {
			break
		}
		k = min(n, k)
		e.load(f, samples, k)
	}
	if len(src) > easyRatio*(len(dst)-start) && e.zstdIsSmaller(src, len(dst)-start) {
		return dst[:start], false
	}
	return dst, true
}

// easyRatio is the ratio from which on an image is drawn rather than seen: there zstd, which finds repetitions, may be
// the better one, and is fast enough to be tried.
const easyRatio = 12

func (e *Encoder) zstdIsSmaller(src []byte, size int) bool {
	if e.zstd == nil {
		var err error
		e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("pixel: zstd options: " + err.Error())
		}
	}
	e.scratch = e.zstd.EncodeAll(src, e.scratch[:0])
	return len(e.scratch) < size
}

// load puts the next k samples into the block.
func (e *Encoder) load(f *format, samples []byte, k int) {
	f.load(e.block.body(k), samples)
	if f.has(flagPalette) {
		e.palette.replace(e.block.body(k))
	}
}

// usePalette prepares the palette of all n samples, or says that there is no need for one. The samples of the first block are
// then in the block.
func (e *Encoder) usePalette(f *format, samples []byte, n int) bool {
	k := min(n, f.grid.blockSamples())
	body := e.block.body(k)
	f.load(body, samples)
	if f.has(flagColour) || !gaps(body, k, f.grid.step) {
		return false
	}
	e.palette.clear()
	for at := 0; at < n; at += k {
		k := min(k, n-at)
		f.load(e.block.body(k), samples[at*f.sampleBytes():])
		e.palette.mark(e.block.body(k))
	}
	e.palette.number()
	f.load(body, samples)
	return e.palette.helps(body, k, f.grid.step)
}

// appendBlock codes the k samples in the block.
func (e *Encoder) appendBlock(dst []byte, k int) []byte {
	b := &e.block
	n := padded(k)
	for i := 2 * k; i < 2*n; i++ { // pad with the last sample
		b.samples[2*b.sampleAt+i] = b.samples[2*b.sampleAt+i-2]
	}
	b.fit(n, e.Level.effort())
	b.widen()
	b.extra = b.extra[:0]
	for at := 0; at < n; {
		run := min(b.run(), n-at)
		if b.nclasses > 1 {
			b.classify(at, run)
		}
		b.predict(at, run)
		at += run
	}
	b.countClasses(n)
	start := len(dst)
	dst = b.appendHead(dst)
	for _, c := range b.count[1:b.nclasses] {
		dst = binary.AppendUvarint(dst, uint64(c))
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.extra)))
	streams, at := e.scatter(n), 0
	for _, c := range b.count[:b.nclasses] {
		dst = e.sections.append(dst, streams[at:at+group*c], 0)
		at += group * c
	}
	dst = e.sections.append(dst, b.extra, maxDepth)
	if len(dst)-start > 2*k {
		dst = append(dst[:start], 0)
		dst = append(dst, b.body(k)...)
		b.stored(k)
	}
	return dst
}

// scatter returns the groups of n tokens, sorted by class.
func (e *Encoder) scatter(n int) []byte {
	b := &e.block
	tokens := b.tokens[b.tokenAt:][:n]
	if b.nclasses == 1 {
		return tokens
	}
	var next [maxClasses]int
	starts(&next, &b.count)
	e.streams = resize(e.streams, n)
	for i, c := range b.classes[:n/group] {
		p := next[c%maxClasses]
		next[c%maxClasses] = p + group
		binary.LittleEndian.PutUint64(e.streams[p:], binary.LittleEndian.Uint64(tokens[group*i:]))
	}
	return e.streams
}
