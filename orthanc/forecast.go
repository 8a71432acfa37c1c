package orthanc

import (
	"fmt"
	"sync"
	"time"
)

// forecast tells, once a hundredth of a first backup has been read, what the whole will take. It passes progress on.
type forecast struct {
	Progress
	total int64        // bytes to be read
	added func() int64 // bytes stored so far
	clock func() time.Time

	mu    sync.Mutex
	began time.Time
	read  int64
	told  bool
}

const (
	forecastShare = 100                    // of the whole
	forecastLeast = 256 << 20              // bytes: less says little, and takes seconds anyway
	forecastAfter = 500 * time.Millisecond // the same in time
)

func newForecast(p Progress, total int64, added func() int64, clock func() time.Time) *forecast {
	return &forecast{Progress: p, total: total, added: added, clock: clock, began: clock()}
}

// Add implements Progress.
func (f *forecast) Add(attachments, bytes int64) {
	f.Progress.Add(attachments, bytes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read += bytes
	took, added := f.clock().Sub(f.began), f.added()
	if f.told || f.read < max(f.total/forecastShare, forecastLeast) || f.read > f.total/10 || took < forecastAfter || added == 0 {
		return
	}
	f.told = true
	scale := float64(f.total) / float64(f.read)
	f.Note(fmt.Sprintf("after %.0f %% of %.1f GB: the whole will take about %v and store about %.1f GB", 100/scale, float64(f.total)/1e9,
		time.Duration(float64(took)*scale).Round(time.Second), float64(added)*scale/1e9))
}
