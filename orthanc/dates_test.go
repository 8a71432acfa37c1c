package orthanc

import (
	"testing"
	"time"
)

// TestDatesOfBrokenClocks: whatever a file's date is, it can be written down, and is kept where it is a sane one.
func TestDatesOfBrokenClocks(t *testing.T) {
	sane := time.Date(2026, 11, 29, 1, 2, 3, 4, time.FixedZone("", 3600))
	if got := inRange(sane); !got.Equal(sane) || got.Location() != time.UTC {
		t.Errorf("%v is kept as %v", sane, got)
	}
	for _, date := range []time.Time{time.Unix(1<<40, 0), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(-1<<40, 0)} {
		if _, err := inRange(date).MarshalJSON(); err != nil {
			t.Errorf("%v: %v", date, err)
		}
	}
}
