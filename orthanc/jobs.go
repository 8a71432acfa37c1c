package orthanc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/orthokeep/orthokeep/repo"
)

// jobsProperty is where Orthanc keeps its jobs, as JSON (GlobalProperty_JobsRegistry), unless SaveJobs is off.
const (
	jobsProperty = 5
	maxJobs      = 32 << 20 // bytes
	maxJobValues = 1 << 20
)

// unfinishedJobs counts the jobs that Orthanc would take up again if it were started on an index, which must be clean and is
// only read. What is written there in another way than Orthanc does counts as none.
func unfinishedJobs(ctx context.Context, index string) (n int, err error) {
	db, err := sql.Open("sqlite", dsn(index, "ro"))
	if err != nil {
		return 0, fmt.Errorf("open the index: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var text sql.NullString
	err = db.QueryRowContext(ctx, "SELECT substr(value, 1, ?) FROM GlobalProperties WHERE property = ?", maxJobs, jobsProperty).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, indexError(ctx, "read jobs", err)
	}
	var registry struct {
		Jobs map[string]struct{ State string }
	}
	if repo.UnmarshalJSON([]byte(text.String), &registry, maxJobValues) != nil {
		return 0, nil
	}
	for _, job := range registry.Jobs {
		if job.State != "Success" && job.State != "Failure" {
			n++
		}
	}
	return n, nil
}
