package orthanc

import "github.com/orthokeep/orthokeep/snapshot"

// UUID names an attachment. In Orthanc's index and storage area it is written as String does.
type UUID = snapshot.UUID

// ParseUUID reads the only form that Orthanc writes: 36 characters, lower-case hexadecimal digits in groups of
// 8-4-4-4-12. Anything else is an error, so that a UUID never leads outside the storage area.
func ParseUUID(s string) (UUID, error) { return snapshot.ParseUUID(s) }
