// Package snapshot says what a snapshot is: which attachments an Orthanc had at one instant, its index, its extra
// files, and in which blobs of a repository their bytes lie. FORMAT.md defines the bytes.
//
// A backup opens the Journal of its server, begins a Session, stores attachments with Session.Store in any order and as
// often as it likes, stores the index and the extra files, and ends with Session.Publish. Reading goes through Roots,
// Resolve, Manifest, Restore.
//
// The package knows names, sizes and times. It does not know Orthanc, its processes or HTTP.
package snapshot
