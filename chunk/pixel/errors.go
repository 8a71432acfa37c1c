package pixel

import "errors"

var (
	// ErrCorrupt is returned by Decode for bytes that no Encoder wrote, or that give another size than the one asked for.
	ErrCorrupt = errors.New("pixel stream is corrupt")
	// ErrUnsupported is returned by Decode for a stream of a newer version; it is never reported as corruption.
	ErrUnsupported = errors.New("pixel stream version not supported")
)
