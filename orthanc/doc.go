// Package orthanc is all that orthokeep knows about an Orthanc DICOM server: how to read its configuration, which
// layouts can be backed up, where its files lie, how to read a copy of its SQLite index, how to find and pause its
// process, and how these make one consistent snapshot.
//
// Survey does all of this for a backup, for a server of this machine or one in a container, which it sees from the host.
//
// The reading side changes nothing of the server. It starts with ReadConfiguration, which reads the file or folder
// that Orthanc itself is started with; CheckLayout refuses by name what cannot be backed up; ListExtraFiles lists the
// files beside the index and the storage area that the configuration names; FindProcess finds the process that holds
// the index open. The live index is never opened with SQLite: OpenIndexCopy takes a private copy of it.
//
// Errors hold no patient data: paths, Orthanc identifiers and attachment UUIDs only.
package orthanc
