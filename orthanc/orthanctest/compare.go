package orthanctest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Attachment is one attachment as a client finds it.
type Attachment struct {
	MD5    string // of the bytes as they lie in the storage area, computed here
	Stated string // what the index says it is; empty with StoreMD5ForAttachments off
	Size   int64  // of those bytes
}

// Content is what a server holds: the attachments by name, of each resource as "instances/ID", "series/ID" and so on.
// Resources without attachments are in it too.
type Content map[string]map[string]Attachment

// Content reads every attachment of every resource. It is an error if one cannot be read or is not what the index
// states.
func (s *Server) Content(ctx context.Context) (Content, error) {
	var mu sync.Mutex
	content := Content{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, level := range []string{"patients", "studies", "series", "instances"} {
		var ids []string
		if err := s.get("/"+level, &ids); err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		for _, id := range ids {
			g.Go(func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				attachments, err := s.attachments(level + "/" + id)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				content[level+"/"+id] = attachments
				return nil
			})
		}
	}
	return content, g.Wait()
}

// attachments reads the attachments of one resource.
func (s *Server) attachments(resource string) (map[string]Attachment, error) {
	var names []string
	if err := s.get("/"+resource+"/attachments", &names); err != nil {
		return nil, err
	}
	found := make(map[string]Attachment, len(names))
	for _, name := range names {
		path := "/" + resource + "/attachments/" + name
		data, err := s.Do(http.MethodGet, path+"/compressed-data", nil)
		if err != nil {
			return nil, err
		}
		stated, err := s.Do(http.MethodGet, path+"/compressed-md5", nil)
		if status := StatusError(0); errors.As(err, &status) && status == http.StatusNotFound {
			stated, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		sum := md5.Sum(data)
		a := Attachment{MD5: hex.EncodeToString(sum[:]), Stated: string(stated), Size: int64(len(data))}
		if a.Stated != "" && a.Stated != a.MD5 {
			return nil, fmt.Errorf("%s: the bytes have MD5 %s, the index says %s", path, a.MD5, a.Stated)
		}
		found[name] = a
	}
	return found, nil
}

// Diff returns one line for each resource or attachment in which a and b differ, in order; none when they are equal.
func Diff(a, b Content) []string {
	var lines []string
	for id, here := range a {
		there, ok := b[id]
		if !ok {
			lines = append(lines, id+": only in the first")
			continue
		}
		for name, x := range here {
			if y, ok := there[name]; !ok {
				lines = append(lines, id+": "+name+": only in the first")
			} else if x != y {
				lines = append(lines, fmt.Sprintf("%s: %s: %v and %v", id, name, x, y))
			}
		}
		for name := range there {
			if _, ok := here[name]; !ok {
				lines = append(lines, id+": "+name+": only in the second")
			}
		}
	}
	for id := range maps.Keys(b) {
		if _, ok := a[id]; !ok {
			lines = append(lines, id+": only in the second")
		}
	}
	slices.Sort(lines)
	return lines
}

// Compare reads both servers wholly and returns an error that names up to ten differences.
func Compare(ctx context.Context, a, b *Server) error {
	first, err := a.Content(ctx)
	if err != nil {
		return fmt.Errorf("first server: %w", err)
	}
	second, err := b.Content(ctx)
	if err != nil {
		return fmt.Errorf("second server: %w", err)
	}
	lines := Diff(first, second)
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%d differences: %s", len(lines), strings.Join(lines[:min(10, len(lines))], "; "))
}
