package orthanc

import "github.com/orthokeep/orthokeep/snapshot"

// Progress is told how far a backup or a restore has come. Its methods may be called by several goroutines at once.
type Progress interface {
	snapshot.Phases
	// Note tells a person something on the way, in one line.
	Note(text string)
}

// NoProgress takes no notice.
type NoProgress struct{ snapshot.NoProgress }

// Note does nothing.
func (NoProgress) Note(string) {}
