package faulty

import (
	"io"
	"io/fs"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// A file is an open node.
type file struct {
	fs *FS
	n  *node
}

// Write implements storage.File.
func (h *file) Write(p []byte) (n int, err error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	defer h.fs.report(&err)
	err = h.fs.change()
	if h.fs.crashed {
		return 0, err
	}
	if err != nil {
		p = p[:len(p)/2]
	} else if free := h.fs.space - h.fs.root.used(); h.fs.space >= 0 && len(p) > free {
		p, err = p[:max(0, free)], storage.ErrNoSpace
	}
	h.n.data = append(h.n.data, p...)
	h.n.writes = append(h.n.writes, len(h.n.data))
	return len(p), err
}

// Sync implements storage.File.
func (h *file) Sync() (err error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	defer h.fs.report(&err)
	err = h.fs.change()
	if h.fs.crashed {
		return err
	}
	if err != nil {
		h.n.lost = append(h.n.lost, span{h.n.synced, len(h.n.data)})
	}
	h.n.synced, h.n.writes = len(h.n.data), nil
	return err
}

// ReadAt implements storage.File.
func (h *file) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.read(); err != nil {
		return 0, err
	}
	if off > int64(len(h.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements storage.File.
func (h *file) Close() (err error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	defer h.fs.report(&err)
	return h.fs.change()
}

// Stat implements storage.File.
func (h *file) Stat() (fs.FileInfo, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.read(); err != nil {
		return nil, err
	}
	return info{size: len(h.n.data), mode: h.n.fullMode()}, nil
}
