// Ratio stores every folder of a corpus in a new repository, at each compression, and compares what the repository then takes up,
// tables and manifests included, with tar and zstd -3 over the same files in the same run.
//
//	go run ./bench/ratio [FOLDER…]
//
// Without a folder it takes ../shared/dicom. The last columns are megabytes of input per second of CPU, of one pass over all.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// how is a way to keep a folder.
type how struct {
	compression repo.Compression
	parity      int // percent
}

var ways = []how{{repo.Fast, 0}, {repo.Balanced, 0}, {repo.Balanced, 5}, {repo.Small, 0}}

func main() {
	runs := flag.Int("runs", 5, "`n` of each way, one way after the other; times are medians")
	flag.Parse()
	folders := flag.Args()
	if len(folders) == 0 {
		folders = subfolders("../shared/dicom")
	}
	if len(folders) == 0 {
		fail(errors.New("name a folder with DICOM files"))
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "corpus\tcompression\tparity\tinput MB\tstored MB\tratio\ttar|zstd -3 MB\ttimes better\tbackup MB/CPU s\trestore MB/CPU s")
	for _, dir := range folders {
		if err := compare(out, dir, *runs); err != nil {
			fail(fmt.Errorf("%s: %w", dir, err))
		}
	}
	if err := out.Flush(); err != nil {
		fail(err)
	}
}

func subfolders(dir string) (out []string) {
	entries, _ := os.ReadDir(dir) // none there is no folder
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "ratio:", err)
	os.Exit(1)
}

func compare(out io.Writer, dir string, runs int) error {
	f, err := newFolder(dir)
	if err != nil {
		return err
	}
	peer, err := tarZstd(dir)
	if err != nil {
		return err
	}
	took := map[how][]measured{}
	for range runs {
		for _, h := range ways {
			m, err := measure(f, h)
			if err != nil {
				return err
			}
			took[h] = append(took[h], m)
		}
	}
	for _, h := range ways {
		m := median(took[h])
		fmt.Fprintf(out, "%s\t%s\t%d %%\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\n", filepath.Base(filepath.Clean(dir)), h.compression, h.parity, mb(f.bytes), mb(m.stored),
			float64(f.bytes)/float64(m.stored), mb(peer), float64(peer)/float64(m.stored), mb(f.bytes)/m.backup.Seconds(), mb(f.bytes)/m.restore.Seconds())
	}
	return nil
}

// median takes the median of each figure.
func median(all []measured) (m measured) {
	middle := func(of func(measured) int64) int64 {
		slices.SortFunc(all, func(a, b measured) int { return cmp.Compare(of(a), of(b)) })
		return of(all[len(all)/2])
	}
	m.stored = middle(func(m measured) int64 { return m.stored })
	m.backup = time.Duration(middle(func(m measured) int64 { return int64(m.backup) }))
	m.restore = time.Duration(middle(func(m measured) int64 { return int64(m.restore) }))
	return m
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// tarZstd returns the size of the folder's tar file behind zstd -3.
func tarZstd(dir string) (int64, error) {
	b, err := exec.Command("sh", "-c", `tar -C "$0" -cf - . | zstd -q -3 -c | wc -c`, dir).Output()
	if err != nil {
		return 0, fmt.Errorf("tar and zstd: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}

// folder is a folder of files that stands for a storage area.
type folder struct {
	paths map[snapshot.UUID]string
	list  []snapshot.Attachment
	bytes int64
}

func newFolder(dir string) (*folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{paths: map[snapshot.UUID]string{}}
	for i, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		u := snapshot.UUID{byte(i >> 8), byte(i)}
		f.paths[u] = filepath.Join(dir, e.Name())
		f.list = append(f.list, snapshot.Attachment{ID: int64(i + 1), FileType: 1, UUID: u, Size: info.Size(), Uncompressed: info.Size(), Compression: 1})
		f.bytes += info.Size()
	}
	return f, nil
}

type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

// Open implements snapshot.Area.
func (f *folder) Open(u snapshot.UUID) (snapshot.File, error) {
	in, err := os.Open(f.paths[u])
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	return file{in, info.Size()}, err
}

func (f *folder) attachments() iter.Seq2[snapshot.Attachment, error] {
	return func(yield func(snapshot.Attachment, error) bool) {
		for _, a := range f.list {
			if !yield(a, nil) {
				return
			}
		}
	}
}

type measured struct {
	stored          int64 // bytes of all objects of the repository
	backup, restore time.Duration
}

func measure(f *folder, h how) (m measured, err error) {
	ctx := context.Background()
	tmp, err := os.MkdirTemp("", "orthokeep-ratio-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(tmp)
	st, err := storage.Create(filepath.Join(tmp, "repo"))
	if err != nil {
		return m, err
	}
	keys, err := repo.NewKeys()
	if err != nil {
		return m, err
	}
	if err := repo.Init(ctx, st, keys, repo.InitOptions{Compression: h.compression, Parity: h.parity, Created: time.Now()}); err != nil {
		return m, err
	}
	r, err := repo.Open(ctx, st, repo.Credentials(keys), "")
	if err != nil {
		return m, err
	}
	root := &snapshot.Root{Time: time.Now()}
	if m.backup, err = cpu.Of(func() error { return store(ctx, f, r, filepath.Join(tmp, "journal"), root) }); err != nil {
		return m, err
	}
	m.restore, err = cpu.Of(func() error {
		to := snapshot.Destination{Dir: tmp, Place: snapshot.UUID.String, Mode: 0o600}
		_, err := snapshot.RestoreAttachments(ctx, r, root, to, snapshot.NoProgress{})
		return err
	})
	if err != nil {
		return m, err
	}
	stats, err := r.Stats(ctx)
	m.stored = stats.Stored
	return m, err
}

// store takes a snapshot of the attachments alone.
func store(ctx context.Context, f *folder, r *repo.Repository, journal string, root *snapshot.Root) error {
	j, err := snapshot.OpenJournal(journal)
	if err != nil {
		return err
	}
	defer j.Close()
	s, err := snapshot.Begin(ctx, r, j, "ratio", "bench", time.Now(), snapshot.NoProgress{})
	if err != nil {
		return err
	}
	var d snapshot.Difference
	if _, err := s.Store(ctx, f, s.Missing(ctx, f.attachments(), &d)); err != nil {
		return err
	}
	root.Counts = snapshot.Counts{Attachments: d.Attachments, Bytes: d.Bytes}
	if root.Manifest, err = s.StoreManifest(ctx, f.attachments(), d); err != nil {
		return err
	}
	if err := s.Publish(ctx, root); err != nil {
		return err
	}
	return s.End(ctx, true, time.Now())
}
