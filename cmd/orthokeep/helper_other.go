//go:build !linux

package main

// windowHelper: no window that needs a helper exists here.
func windowHelper([]string) (code int, ok bool) { return 0, false }
