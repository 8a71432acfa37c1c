// Package repo keeps bytes: blobs with an identity, sealed on this machine, in packs that never change.
//
// A repository is made by Init and opened by Open. What is to be stored goes through a Run: Begin, Put as often as
// needed, Publish, End. Get reads a blob back and verifies it. The package knows blobs and their IDs, never files,
// names or Orthanc. FORMAT.md defines every byte.
//
// Blobs have a class. Structure is what the holder of a writer key may read: which blobs make up a snapshot. Content is
// what only a holder of the recovery key may read: images and everything else about patients.
package repo
