// Package dicomtest makes DICOM files from a seed, for tests, the demo and benchmarks. They are synthetic through and
// through, yet look like those of real scanners where it matters for a backup: headers of 3 to 8 KB that share most of
// their bytes with their neighbours', private tags and nested sequences, and pixel data that compresses like real
// scans, both with zstd and with a predictor in front.
//
// Study yields the instances of one study, Archive those of many small studies; both keep one instance in memory.
// Instance.Modify and Instance.Anonymize make the copies that Orthanc's routes of these names make: new identifiers,
// a re-written header, and the same pixel data to the byte.
//
// The same arguments give the same bytes: headers on every machine, pixels on machines of one architecture (they come
// from floating point).
package dicomtest
