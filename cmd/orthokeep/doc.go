// Command orthokeep backs up an Orthanc DICOM server and restores it.
//
// One file per command, named like it. What they share: root.go (the program and its global flags), settings.go (where a
// flag's value comes from), exit.go (exit codes), progress.go, output.go and ask.go. OUTPUT.md is the contract of what is
// printed where.
package main
