//go:build unix && !linux

package storage

func renameNew(old, new string) error { return linkNew(old, new) }
