package pixel

// Layout says how the samples of native pixel data lie in a run of bytes (DICOM PS3.3 C.7.6.3 and PS3.5 section 8).
// It is a hint: a wrong or zero Layout costs ratio, never correctness. The zero Layout means "not known".
type Layout struct {
	Bits      int   // bits allocated to a sample (0028,0100): 8 or 16; 0 when the layout is not known
	Columns   int   // pixels in a row (0028,0011)
	Samples   int   // samples per pixel (0028,0002): 1 or 3
	Planar    bool  // each colour plane by itself (0028,0006 is 1); false when Samples is 1
	BigEndian bool  // 16-bit samples have their high byte first (Explicit VR Big Endian)
	Phase     int64 // bytes between the start of the row and the first byte described, 0 to RowBytes-1
}

// Known reports whether the layout says anything.
func (l Layout) Known() bool { return l.Bits != 0 }

// RowBytes is the length of one row in bytes; of one plane's row when the layout is planar. Zero when not known.
func (l Layout) RowBytes() int64 {
	n := int64(l.Columns) * int64(l.Bits/8)
	if !l.Planar {
		n *= int64(l.Samples)
	}
	return n
}

// At returns the layout of the bytes that begin offset bytes after those that l describes.
func (l Layout) At(offset int64) Layout {
	if row := l.RowBytes(); row > 0 {
		l.Phase = (l.Phase + offset) % row
	}
	return l
}
