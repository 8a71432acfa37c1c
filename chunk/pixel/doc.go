// Package pixel says how native DICOM pixel data lies in memory, and compresses it without loss.
//
// A Layout describes a run of bytes. An Encoder codes any such run, wherever in a row it begins; where that does not pay it says
// so, and the caller takes another way. A Decoder gives the bytes back. FORMAT.md has the stream, byte by byte.
//
// Samples are predicted from their neighbours by weights fitted to each block, and what remains is coded with a Huffman table
// for each of several classes of neighbourhood. All is done in portable Go; on amd64, assembly does the inner loops of
// the default level and of fast with AVX2, and counts and codes symbols with AVX-512, and writes the same bytes. The build tag purego leaves it out;
// noasm, which klauspost/compress knows too, also leaves out the assembly of the entropy coder.
package pixel
