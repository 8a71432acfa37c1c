package repo

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/zstd"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// MaxBlob is the largest number of plain bytes of a blob.
const MaxBlob = 16 << 20

const (
	encodingRaw   = 0
	encodingZstd  = 1
	encodingPixel = 2

	// poorPixels is the share of the plain length above which a pixel stream is compared with zstd: pixels that are no
	// images, such as masks and graphics, are better off there.
	poorPixels = 0.7
)

// pixelDecoders keep their memory from blob to blob.
var pixelDecoders = sync.Pool{New: func() any { return new(pixel.Decoder) }}

// Compression trades the speed of a backup for the size of the repository. Every level is read alike.
type Compression string

const (
	Fast     Compression = "fast"
	Balanced Compression = "balanced" // the default
	Small    Compression = "small"
)

// levels are the settings of the two encoders.
var levels = map[Compression]struct {
	zstd  zstd.EncoderLevel
	pixel pixel.Level
}{
	Fast:     {zstd.SpeedFastest, pixel.Fast},
	Balanced: {zstd.SpeedDefault, pixel.Balanced},
	Small:    {zstd.SpeedBetterCompression, pixel.Small},
}

// codec turns plain bytes into encoded ones and back. It may be used by several goroutines at once.
type codec struct {
	enc    *zstd.Encoder
	dec    *zstd.Decoder
	pixels sync.Pool // of *pixel.Encoder, which keep their memory from blob to blob
}

func newCodec(c Compression) *codec {
	level := levels[c]
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level.zstd), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("repo: " + err.Error()) // the options are constant
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxBlob+1), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic("repo: " + err.Error())
	}
	return &codec{enc: enc, dec: dec, pixels: sync.Pool{New: func() any { return &pixel.Encoder{Level: level.pixel} }}}
}

// encode appends the encoded form of plain to dst: at most len(plain)+1 bytes. The layout says what plain is.
func (c *codec) encode(dst, plain []byte, layout pixel.Layout) []byte {
	start := len(dst)
	if coded, ok := c.encodePixels(dst, plain, layout); ok {
		if float64(len(coded)-start) <= poorPixels*float64(len(plain)) {
			return coded
		}
		other := c.encode(nil, plain, pixel.Layout{})
		if len(other) >= len(coded)-start {
			return coded
		}
		return append(dst[:start], other...)
	}
	if compressible(plain) {
		dst = c.enc.EncodeAll(plain, append(dst, encodingZstd))
		if len(dst)-start <= len(plain) {
			return dst
		}
	}
	return append(append(dst[:start], encodingRaw), plain...)
}

// encodePixels appends the pixel stream of plain to dst, where there is one that is smaller than plain.
func (c *codec) encodePixels(dst, plain []byte, layout pixel.Layout) ([]byte, bool) {
	if !layout.Known() {
		return dst, false
	}
	e := c.pixels.Get().(*pixel.Encoder)
	defer c.pixels.Put(e)
	return e.Encode(append(dst, encodingPixel), plain, layout)
}

// decodePixels appends the size bytes of a pixel stream to dst.
func decodePixels(dst, payload []byte, size int) ([]byte, error) {
	d := pixelDecoders.Get().(*pixel.Decoder)
	defer pixelDecoders.Put(d)
	out, err := d.Decode(dst, payload, size)
	switch {
	case errors.Is(err, pixel.ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	return out, nil
}

// compressible looks at up to four samples of 4 KiB: encapsulated images are most of what is not.
func compressible(plain []byte) bool {
	const sample, samples = 4 << 10, 4
	if len(plain) <= sample*samples {
		return true
	}
	for i := range samples {
		at := i * (len(plain) - sample) / (samples - 1)
		if compress.Estimate(plain[at:at+sample]) > 0.05 {
			return true
		}
	}
	return false
}

// decode appends the plain bytes, exactly size of them, to dst.
func (c *codec) decode(dst, encoded []byte, size int) ([]byte, error) {
	if len(encoded) == 0 {
		return nil, fmt.Errorf("blob is empty: %w", ErrCorrupt)
	}
	start, payload := len(dst), encoded[1:]
	switch encoded[0] {
	case encodingRaw:
		dst = append(dst, payload...)
	case encodingZstd:
		var err error
		if dst, err = c.decodeZstd(dst, payload, size); err != nil {
			return nil, err
		}
	case encodingPixel:
		var err error
		if dst, err = decodePixels(dst, payload, size); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("blob encoding %d: %w", encoded[0], ErrUnsupported)
	}
	if len(dst)-start != size {
		return nil, fmt.Errorf("blob has another length than stated: %w", ErrCorrupt)
	}
	return dst, nil
}

// decodeZstd decodes into room for the stated size alone, so that a payload which expands further is an error, however many frames it has.
func (c *codec) decodeZstd(dst, payload []byte, size int) ([]byte, error) {
	dst = slices.Grow(dst, size)
	end := len(dst) + size
	out, err := c.dec.DecodeAll(payload, dst[len(dst):len(dst):end])
	if err != nil {
		return nil, fmt.Errorf("decompress: %w: %w", err, ErrCorrupt)
	}
	return append(dst, out...), nil // in its place already
}

// sealBlob appends the sealed form of a blob to dst. Encoded may lie where it comes to lie: nonceSize bytes behind the end of dst.
func sealBlob(dst []byte, key [32]byte, id ID, nonce, encoded []byte) []byte {
	return seal(dst, keyed(key, id[:]), nonce, encoded, id[:])
}

// encodeAndSeal appends the sealed form of plain to dst. It encodes behind the place of the nonce, and seals there.
func (c *codec) encodeAndSeal(dst []byte, key [32]byte, id ID, plain []byte, layout pixel.Layout) []byte {
	start := len(dst)
	dst = c.encode(append(dst, make([]byte, nonceSize)...), plain, layout)
	return sealBlob(dst[:start], key, id, nil, dst[start+nonceSize:])
}

// openBlob appends the plain bytes of a sealed blob to dst. They still have to be compared with the ID.
func (c *codec) openBlob(dst []byte, key [32]byte, id ID, sealed []byte, size int) ([]byte, error) {
	buf := blobBuffers.Get().(*[]byte)
	defer blobBuffers.Put(buf)
	encoded, ok := unseal((*buf)[:0], keyed(key, id[:]), sealed, id[:])
	if !ok {
		return nil, fmt.Errorf("seal is broken: %w", ErrCorrupt)
	}
	*buf = encoded
	return c.decode(dst, encoded, size)
}

// blobBuffers hold one blob each, encoded or sealed, for as long as it is worked on.
var blobBuffers = sync.Pool{New: func() any { return new([]byte) }}

// EncodedSize is the number of bytes that a blob would take up in a pack, for estimates: nothing is stored.
func (r *Repository) EncodedSize(plain []byte, layout pixel.Layout) int {
	return len(r.codec.encode(nil, plain, layout)) + sealOverhead
}
