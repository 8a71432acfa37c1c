package orthanc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A sight is how the files of a server in a container are seen from the host. The configuration, and a snapshot, have the paths
// that the server knows; what is opened here is where they lie. The zero pointer is the sight of a server that is in no
// container: paths are what they are.
//
// A bind mount or a volume is looked at where it lies on the host, so that staging beside the storage directory, links and reflinks
// work, and so that it is in reach while the container is stopped. All else is looked at through the root folder of a process.
type sight struct {
	root   string  // /proc/PID/root
	mounts []mount // the deepest first
}

// mount is a folder or file of the host in a container. Both paths are absolute and clean.
type mount struct{ inside, outside string }

// newSight is that of a process with these mounts. A mount that is not what the process has at its place is left out: the
// engine may run on another machine, or something else is mounted over it.
func newSight(root string, mounts []mount) sight {
	s := sight{root: root}
	for _, m := range mounts {
		there, err := os.Stat(root + m.inside)
		here, other := os.Stat(m.outside)
		if err == nil && other == nil && os.SameFile(there, here) {
			s.mounts = append(s.mounts, m)
		}
	}
	slices.SortFunc(s.mounts, func(a, b mount) int { return len(b.inside) - len(a.inside) })
	return s
}

// path returns where a path of the server's lies. Links are followed as the server follows them.
func (s *sight) path(p string) string {
	if s == nil {
		return p
	}
	return s.place(s.real(p))
}

// link returns what a path of the server's links to, as the link says; an error where it is no link.
func (s *sight) link(p string) (string, error) {
	if s == nil {
		return os.Readlink(p)
	}
	return os.Readlink(s.place(filepath.Join(s.real(filepath.Dir(p)), filepath.Base(p))))
}

// real returns a path of the server's without links in it, as the server would find it. One that leads nowhere is merely clean.
func (s *sight) real(p string) string {
	if s == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return real
		}
		return filepath.Clean(p)
	}
	const most = 40 // links, as in the kernel
	done, rest := "/", parts(p)
	for links := 0; len(rest) > 0; {
		next := filepath.Join(done, rest[0]) // ".." of a path without links is what it says
		rest = rest[1:]
		to, err := os.Readlink(s.place(next))
		switch {
		case err != nil:
			done = next
		case links == most:
			return filepath.Clean(p)
		default:
			links++
			if filepath.IsAbs(to) {
				done = "/"
			}
			rest = append(parts(to), rest...)
		}
	}
	return done
}

func parts(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// place returns where a path without links lies.
func (s *sight) place(p string) string {
	for _, m := range s.mounts {
		if rest, ok := strings.CutPrefix(p, m.inside); ok && (rest == "" || rest[0] == '/') {
			return m.outside + rest
		}
	}
	return s.root + p
}

// mounted says whether a path of the server's is in reach when the container is stopped.
func (s *sight) mounted(p string) bool { return s == nil || !strings.HasPrefix(s.path(p), s.root+"/") }
