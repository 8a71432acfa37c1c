// Package chunk decides where to cut. It knows bytes only: no hashes, no files, no contexts, no goroutines.
//
// A Splitter cuts a stream at places that its content decides (a Rabin fingerprint, as restic/chunker does), so that equal
// stretches of two streams become equal chunks. Scan finds the place in a DICOM file where the header ends and the
// pixel data begins, so that a file whose header was rewritten still shares its pixel data with the original.
package chunk
