package orthanc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Hold is a synchronisation point for tests that kill orthokeep at a known moment. It does nothing unless
// ORTHOKEEP_TEST_HOLD names a folder. Then it creates the file folder/POINT and waits until folder/go exists, at most a
// minute. ORTHOKEEP_TEST_HOLD_AT limits it to the points named there, separated by commas; empty means every point.
//
// Points: PointInside, before the function inside a window runs. The coordinator adds its own.
func Hold(point string) {
	folder := os.Getenv("ORTHOKEEP_TEST_HOLD")
	if folder == "" {
		return
	}
	if at := os.Getenv("ORTHOKEEP_TEST_HOLD_AT"); at != "" && !slices.Contains(strings.Split(at, ","), point) {
		return
	}
	if os.WriteFile(filepath.Join(folder, point), nil, 0o600) != nil {
		return
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(folder, "go")); err == nil {
			return
		}
	}
}

// PointInside is the point inside every window: Orthanc stands still, nothing has been copied.
const PointInside = "inside-window"
