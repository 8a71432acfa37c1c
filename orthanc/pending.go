package orthanc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A pendingList is a list of plug-in DelayedDeletion: an SQLite database that names the files that Orthanc has deleted and the
// plug-in has still to remove. It is copied in the window of the index: one that is newer than the index would name attachments
// that the index still has, and the plug-in of a restored server would remove them.
type pendingList struct {
	path string // on the server
	copy string // in staging; once it is settled, the whole list without a log
}

// pendingLists finds the lists, as paths on the server: in the storage directory, and where the plug-in's setting Path says.
func (s *Site) pendingLists() ([]string, error) {
	dir := s.Configuration.StorageDirectory
	entries, err := os.ReadDir(s.Layout.Storage)
	if err != nil {
		return nil, fmt.Errorf("look for lists of pending deletions: %w", err)
	}
	var found []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "pending-deletions") && strings.HasSuffix(e.Name(), ".db") && e.Type().IsRegular() {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	if path := text(s.Configuration.members("DelayedDeletion")["Path"]); path != "" {
		path = (&lister{c: s.Configuration, cwd: s.workingFolder()}).place(path, true)
		info, err := os.Stat(s.sight.path(path))
		if err == nil && info.Mode().IsRegular() && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found, nil
}

// workingFolder is that of Orthanc's process, as it sees it; empty where it is not known.
func (s *Site) workingFolder() string {
	if s.Process == nil {
		return ""
	}
	return s.Process.Dir
}

// delayedElsewhere refuses a relative storage directory under plug-in DelayedDeletion, which takes it as relative to the
// working directory of Orthanc and not to its configuration: the attachments are not where Orthanc says.
func (s *Site) delayedElsewhere() error {
	cwd, dir := s.workingFolder(), (&reader{c: s.Configuration}).text("StorageDirectory", "OrthancStorage")
	if cwd == "" || filepath.IsAbs(dir) || filepath.Join(cwd, dir) == s.Configuration.StorageDirectory ||
		!slices.ContainsFunc(s.Layout.Plugins, func(p Plugin) bool { return delaysDeletion(s.Configuration, p) }) {
		return nil
	}
	return fmt.Errorf("%w: plug-in DelayedDeletion keeps attachments in %s: StorageDirectory is relative, and it takes it from the folder in which Orthanc was started; write it as an absolute path",
		ErrLayout, filepath.Join(cwd, dir))
}

// delaysDeletion says whether a plug-in is DelayedDeletion, set up. Debian 13 loads it always; without its section it does nothing.
func delaysDeletion(c *Configuration, p Plugin) bool {
	return p.is("delayeddeletion") && c.Has("DelayedDeletion") && c.flag("DelayedDeletion", "Enable", true)
}

// settlePending replays the logs of the lists that were copied with the index. One that cannot be read is left out, and said so:
// without it files that nobody needs stay behind in a restored server.
func (c *coordinator) settlePending(ctx context.Context) error {
	var whole []pendingList
	for _, p := range c.pending {
		err := settleList(ctx, p.copy, c.named)
		switch {
		case err == nil:
			whole = append(whole, p)
		case errors.Is(err, ErrIndex):
			c.notes = append(c.notes, fmt.Sprintf("%s (list of pending deletions) is not in the snapshot: it is damaged", p.path))
		default:
			return fmt.Errorf("list of pending deletions: %w", err)
		}
	}
	c.pending = whole
	return nil
}

// settleList makes a copy of a list one file, checks it, and adds what it names, which is no orphan: it is about to go.
func settleList(ctx context.Context, path string, named *uuidSet) error {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return nil // nothing was ever written to it
	}
	if _, err := replayCopy(ctx, path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "ro"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkPages(ctx, db, CheckQuick); err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, "SELECT substr(uuid, 1, 37) FROM Pending")
	if err != nil {
		return indexError(ctx, "read list", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name sql.NullString
		if err := rows.Scan(&name); err != nil {
			return indexError(ctx, "read list", err)
		}
		if u, err := ParseUUID(name.String); err == nil {
			if err := named.add(u); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return indexError(ctx, "read list", err)
	}
	return nil
}
