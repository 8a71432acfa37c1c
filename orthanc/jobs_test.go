package orthanc

import (
	"database/sql"
	"path/filepath"
	"testing"
)

func TestUnfinishedJobs(t *testing.T) {
	for name, c := range map[string]struct {
		property string
		want     int
	}{
		"none were ever saved": {"", 0},
		"all have ended":       {`{"Type":"JobsRegistry","Jobs":{"a":{"State":"Success"},"b":{"State":"Failure"}}}`, 0},
		"two have not":         {`{"Type":"JobsRegistry","Jobs":{"a":{"State":"Running"},"b":{"State":"Success"},"c":{"State":"Pending"}}}`, 2},
		"of another form":      {`[1]`, 0},
	} {
		path := filepath.Join(t.TempDir(), "index")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("CREATE TABLE GlobalProperties(property INTEGER PRIMARY KEY, value TEXT)"); err != nil {
			t.Fatal(err)
		}
		if c.property != "" {
			if _, err := db.Exec("INSERT INTO GlobalProperties VALUES (5, ?)", c.property); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := unfinishedJobs(t.Context(), path); n != c.want || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, err := unfinishedJobs(t.Context(), filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("an index that is not there has jobs")
	}
}
