package snapshot

import (
	"fmt"

	"github.com/orthokeep/orthokeep/repo"
)

// maxPages is the number of pages of a database that SQLite takes.
const maxPages = 1<<32 - 2

// check sees that the index is in bounds, as far as its root says. A file grows by the pages alone that a layer has.
func (x Index) check() error {
	bad := fmt.Errorf("index out of bounds: %w", repo.ErrCorrupt)
	if len(x.Layers) == 0 && x.Size == 0 {
		return nil
	}
	if !validPageSize(x.PageSize) || len(x.Layers) == 0 || len(x.Layers) > maxLayers {
		return bad
	}
	page, before := int64(x.PageSize), int64(0)
	for i, l := range x.Layers {
		pages := l.Size / page
		if l.Size < 0 || l.Size%page != 0 || pages > maxPages {
			return bad
		}
		stored, hashes := l.Pages.length/page, int64(pageHashSize)
		whole := l.Pages.length == l.Size
		if i > 0 {
			stored, hashes = (l.Pages.length-pageNumberSize)/(page+pageNumberSize), pageNumberSize+pageHashSize
			whole = l.Pages.length == pageNumberSize+stored*(page+pageNumberSize)
		}
		if !whole || stored > pages || pages-before > stored || l.Hashes.length != stored*hashes {
			return bad
		}
		before = pages
	}
	if before != x.Size/page || x.Size%page != 0 {
		return bad
	}
	return nil
}

// Largest is the length of the file in bytes that a restore makes on its way, at most.
func (x Index) Largest() (n int64) {
	for _, l := range x.Layers {
		n = max(n, l.Size)
	}
	return n
}

// validPageSize says whether SQLite knows pages of that many bytes.
func validPageSize(size int) bool {
	return size >= minPageSize && size <= maxPageSize && size&(size-1) == 0
}
