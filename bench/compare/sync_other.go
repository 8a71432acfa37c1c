//go:build !linux

package main

import "errors"

// syncAll does nothing here.
func syncAll() {}

// forgetFiles is not supported.
func forgetFiles() error { return errors.ErrUnsupported }
