package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// fillMemory fills the memory that is free with a file that is read through, as that of a server is filled which has run for a while. What
// is needed then is taken from there, and not from memory that nobody has used for long, for which a hypervisor may have to be asked.
func fillMemory(ctx context.Context, path string) error {
	free, err := freeMemory()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for n := info.Size(); n < free && ctx.Err() == nil; n += int64(len(buf)) {
		if _, err := f.Write(buf); err != nil {
			return err
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if _, err := f.Read(buf); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// freeMemory is the bytes that could be had without swapping.
func freeMemory() (n int64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			_, err := fmt.Sscan(value, &n)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo does not say what is available")
}
