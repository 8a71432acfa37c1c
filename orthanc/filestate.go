package orthanc

import (
	"os"
	"time"
)

// fileState is what changes when a file does. The change time cannot be set back by a program, so that together with the
// size and the inode it stands for the content, on a local file system and when it is older than the clock's grain.
type fileState struct {
	inode    uint64
	size     int64
	modified time.Time
	changed  time.Time
}

func stateOf(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	return fileState{fileNumber(info), info.Size(), info.ModTime(), changeTime(info)}, nil
}

// latest is when the file last changed in any way.
func (s fileState) latest() time.Time {
	if s.changed.After(s.modified) {
		return s.changed
	}
	return s.modified
}
