// Package storage keeps a repository's objects: named, immutable runs of bytes. Storage is what package repo needs of such
// a place; Local is a folder on this machine or on a network file system. WriteFile and WriteNewFile are the durable way to
// write any other small file (keys, caches, configuration).
//
// storagetest is the suite that every implementation passes, faulty the one that fails on purpose.
package storage
