package storage

import "sync"

// maxOpen bounds the files that a Local keeps open between reads.
const maxOpen = 32

// openFiles keeps files open that were read lately. It is safe for use at once.
type openFiles struct {
	fs FS

	mu   sync.Mutex
	open map[string]*openFile
	tick uint64 // counts uses
}

// An openFile is closed when nobody uses it and openFiles no longer knows it.
type openFile struct {
	file  File
	users int
	used  uint64 // the tick of its last use
	known bool   // stands in openFiles.open
}

// acquire opens path, or finds it open. The caller releases it.
func (o *openFiles) acquire(path string) (*openFile, error) {
	if f := o.find(path); f != nil {
		return f, nil
	}
	file, err := o.fs.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := fileSize(file.Stat()); err != nil {
		file.Close()
		return nil, err
	}
	return o.add(path, file), nil
}

func (o *openFiles) find(path string) *openFile {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.use(path)
}

// use counts a user of path, or returns nil. o.mu is held.
func (o *openFiles) use(path string) *openFile {
	f := o.open[path]
	if f != nil {
		o.tick++
		f.users++
		f.used = o.tick
	}
	return f
}

// add makes file known and used, unless another goroutine has opened the same meanwhile. The one used longest ago makes room.
func (o *openFiles) add(path string, file File) *openFile {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.use(path); f != nil {
		file.Close()
		return f
	}
	if len(o.open) >= maxOpen {
		o.drop(o.oldest())
	}
	o.open[path] = &openFile{file: file, known: true}
	return o.use(path)
}

func (o *openFiles) oldest() (path string) {
	var oldest *openFile
	for p, f := range o.open {
		if oldest == nil || f.used < oldest.used {
			path, oldest = p, f
		}
	}
	return path
}

// drop forgets a path; the last user closes its file. o.mu is held.
func (o *openFiles) drop(path string) {
	f := o.open[path]
	if f == nil {
		return
	}
	delete(o.open, path)
	f.known = false
	if f.users == 0 {
		f.file.Close() // opened for reading: nothing can be lost
	}
}

func (o *openFiles) release(f *openFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.users--
	if f.users == 0 && !f.known {
		f.file.Close()
	}
}

// forget is for a path that is about to be deleted.
func (o *openFiles) forget(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(path)
}

func (o *openFiles) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for path := range o.open {
		o.drop(path)
	}
}
