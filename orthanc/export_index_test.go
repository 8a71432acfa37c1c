package orthanc

import (
	"context"
	"strings"
)

// AttachmentsPlan returns how SQLite lists the attachments.
func (x *Index) AttachmentsPlan(ctx context.Context) (string, error) {
	rows, err := x.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+x.attachmentsQuery())
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return "", err
		}
		plan = append(plan, detail)
	}
	return strings.Join(plan, "; "), rows.Err()
}

// ParseWAL reads a log from memory.
var ParseWAL = parseWAL

// UnfinishedJobs counts the jobs in an index.
var UnfinishedJobs = unfinishedJobs

// DialInside connects from the network of a process.
var DialInside = dialInside
