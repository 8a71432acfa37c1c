//go:build !linux

package main

// syncAll does nothing here.
func syncAll() {}
