package orthanc

import "errors"

// What a caller chooses by. Details are in the text of the error that wraps them.
var (
	ErrConfiguration = errors.New("configuration cannot be used")     // unreadable, not JSON, or a key given twice
	ErrLayout        = errors.New("layout of Orthanc not supported")  // a plug-in or setting that cannot be backed up
	ErrIndex         = errors.New("index copy is damaged")            // not SQLite, a torn copy, or hostile content
	ErrSchema        = errors.New("index schema not supported")       // a version other than 6: never reported as damage
	ErrNoProcess     = errors.New("no process holds the index open")  // Orthanc is down, or runs on another machine
	ErrManyProcesses = errors.New("several processes hold the index") // none can be chosen
	ErrProcessHidden = errors.New("processes cannot be looked into")  // permission: no process seen, some not readable
	ErrNotSupported  = errors.New("not supported on this system")     // the operating system, not the layout
	ErrAttachment    = errors.New("attachment is not a regular file") // a link, folder or device at its place
	ErrNoOrthanc     = errors.New("no Orthanc to run")                // FindOrthanc: none is installed, or it does not run
	ErrDrill         = errors.New("restored server is not as it was") // Drill: something is damaged or differs
)
