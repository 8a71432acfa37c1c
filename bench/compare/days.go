package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

func (c *corpus) indexPath() string { return filepath.Join(c.Storage, "index") }

func (c *corpus) path(name string) string { return filepath.Join(c.Storage, name[:2], name[2:4], name) }

// keep notes what the storage area holds now as one more day.
func (c *corpus) keep(d day) error {
	var before []string
	if len(c.Days) > 0 {
		before = c.Days[len(c.Days)-1].Files
	}
	for f, err := range filesBelow(c.Storage) {
		if err != nil {
			return err
		}
		if filepath.Dir(f.path) == "." {
			continue // the index
		}
		name := filepath.Base(f.path)
		d.Files = append(d.Files, name)
		d.Bytes += f.info.Size()
		if _, old := slices.BinarySearch(before, name); old {
			continue
		}
		d.NewBytes += f.info.Size()
		if err := os.Link(c.path(name), filepath.Join(c.Pool, name)); err != nil {
			return err
		}
	}
	slices.Sort(d.Files)
	text, err := os.ReadFile(c.indexPath())
	if err != nil {
		return err
	}
	d.IndexBytes, d.Index = int64(len(text)), c.Pool+"-index-"+strconv.Itoa(len(c.Days)+1)
	c.Days = append(c.Days, d)
	return os.WriteFile(d.Index, text, 0o644)
}

// settling is the age that files have in the night: what is younger than two seconds may still be being written, and orthokeep waits.
const settling = 2500 * time.Millisecond

// show makes the storage area what it was in the evening of a day (0, 1, 2), and lets some time pass, unless it is that already.
func (c *corpus) show(number int) error {
	if c.shown == number+1 {
		return nil
	}
	c.shown = 0
	if err := c.set(number); err != nil {
		return err
	}
	c.shown = number + 1
	time.Sleep(settling)
	return nil
}

// set touches nothing that stays: what a tool has seen the night
// before keeps its times, and the index its inode.
func (c *corpus) set(number int) error {
	d := c.Days[number]
	for f, err := range filesBelow(c.Storage) {
		if err != nil {
			return err
		}
		name := filepath.Base(f.path)
		if filepath.Dir(f.path) == "." {
			continue
		}
		if _, stays := slices.BinarySearch(d.Files, name); stays {
			continue
		}
		if err := c.drop(name); err != nil {
			return err
		}
	}
	for _, name := range d.Files {
		err := os.Link(filepath.Join(c.Pool, name), c.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
				return err
			}
			err = os.Link(filepath.Join(c.Pool, name), c.path(name))
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	text, err := os.ReadFile(d.Index)
	if err != nil {
		return err
	}
	return os.WriteFile(c.indexPath(), text, 0o644)
}

// drop removes an attachment as Orthanc does: with the folders that it leaves empty.
func (c *corpus) drop(name string) error {
	path := c.path(name)
	if err := os.Remove(path); err != nil {
		return err
	}
	for dir := filepath.Dir(path); dir != c.Storage; dir = filepath.Dir(dir) {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			return err
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}
