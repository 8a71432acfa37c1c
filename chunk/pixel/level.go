package pixel

// Level trades speed for size. The same Decoder reads the output of every level.
type Level uint8

const (
	// Balanced, the default, predicts from ten neighbours, with one set of weights per block.
	Balanced Level = iota
	// Fast predicts from six neighbours, or four where these say nearly as much, and has no classes: all samples share one code.
	Fast
	// Small predicts from twelve neighbours, with weights that depend on how busy the row above is.
	Small
)

// String returns the level's name in lower case.
func (l Level) String() string {
	switch l {
	case Fast:
		return "fast"
	case Small:
		return "small"
	default:
		return "balanced"
	}
}

// effort says what a level does.
func (l Level) effort() effort {
	switch l {
	case Fast:
		return effort{taps: 6, sets: 1, classes: 1, groups: 256}
	case Small:
		return effort{taps: 12, sets: 4, classes: 8, groups: 2048}
	default:
		return effort{taps: 10, sets: 1, classes: 8, groups: 256}
	}
}
