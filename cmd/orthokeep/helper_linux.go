package main

import "github.com/orthokeep/orthokeep/orthanc"

// windowHelper is the hidden way in which this program starts itself to hold and to undo a window. It stands before all
// else: the helper must not depend on flags, files or a terminal.
func windowHelper(args []string) (code int, ok bool) {
	if len(args) == 0 || args[0] != orthanc.HelperCommand {
		return 0, false
	}
	return orthanc.HelperMain(args[1:]), true
}
