package snapshot

import "errors"

var (
	ErrLocked       = errors.New("another backup of this server is running")      // OpenJournal
	ErrVanished     = errors.New("attachment is not in the storage area")         // Area.Open
	ErrInconsistent = errors.New("index and attachments do not agree")            // Publish: nothing was published
	ErrNoSnapshot   = errors.New("no such snapshot")                              // Resolve
	ErrAmbiguous    = errors.New("several snapshots have this prefix")            // Resolve
	ErrRolledBack   = errors.New("the last snapshot known here is gone or older") // Begin: the repository lost snapshots without a prune
	ErrNoAttachment = errors.New("no such attachment in the snapshot")            // CopyAttachment
	ErrNoPolicy     = errors.New("no rule says which snapshots to keep")          // Prune
	ErrNotEmpty     = errors.New("target is not empty")                           // Restore
)
