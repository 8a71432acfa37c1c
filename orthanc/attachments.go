package orthanc

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
)

// File types and compressions that Orthanc writes.
const (
	FileDicom           = 1    // the DICOM file
	FileSummary         = 2    // its tags as JSON, up to Orthanc 1.9.0
	FileUntilPixelData  = 3    // its beginning
	FileUser            = 1024 // the first of the user-defined types
	CompressionNone     = 1
	CompressionZlibSize = 2 // zlib behind the uncompressed size in 8 bytes
)

// Attachment is one row of AttachedFiles.
type Attachment struct {
	ResourceID       int64 // Resources.internalId
	FileType         int
	UUID             UUID
	CompressedSize   int64 // bytes of the file in the storage area
	UncompressedSize int64 // bytes
	Compression      int
	CompressedMD5    [16]byte // of the file in the storage area
	HasMD5           bool     // false where the index states none (StoreMD5ForAttachments off)
}

// Attachments lists all attachments in the order of (ResourceID, FileType), each pair once. It reads along an index of
// the table, so that memory does not grow. The error ends the list: it matches ErrIndex for a row that Orthanc does not
// write, and ErrLayout for an attachment that a plug-in keeps at a path of its own.
func (x *Index) Attachments(ctx context.Context) iter.Seq2[Attachment, error] {
	return func(yield func(Attachment, error) bool) {
		var last Attachment
		first := true
		err := x.rows(ctx, x.attachmentsQuery(), func(values []driver.Value) (bool, error) {
			a, err := attachmentOf(values)
			if err != nil {
				return false, err
			}
			if !first && (a.ResourceID < last.ResourceID || a.ResourceID == last.ResourceID && a.FileType <= last.FileType) {
				return false, fmt.Errorf("%w: attachment %s is out of order", ErrIndex, a.UUID)
			}
			first, last = false, a
			return yield(a, nil), nil
		})
		if err != nil {
			yield(Attachment{}, err)
		}
	}
}

// rows runs a query and calls each with the values of every row, valid until the next, until each wants no more. It goes past database/sql, whose
// conversions are a third of the time that a million rows take. Errors of the database match ErrIndex as indexError says.
func (x *Index) rows(ctx context.Context, query string, each func([]driver.Value) (more bool, err error)) error {
	conn, err := x.db.Conn(ctx)
	if err != nil {
		return indexError(ctx, "list attachments", err)
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return indexError(ctx, "list attachments", err)
		}
		defer rows.Close()
		values := make([]driver.Value, len(rows.Columns()))
		for {
			if err := rows.Next(values); err == io.EOF {
				return nil
			} else if err != nil {
				return indexError(ctx, "list attachments", err)
			}
			if more, err := each(values); err != nil || !more {
				return err
			}
		}
	})
}

// attachmentOf reads a row of attachmentsQuery. Orthanc writes no other types than these.
func attachmentOf(v []driver.Value) (a Attachment, err error) {
	id, ok0 := v[0].(int64)
	fileType, ok1 := v[1].(int64)
	uuid, ok2 := v[2].(string)
	size, ok3 := v[3].(int64)
	whole, ok4 := v[4].(int64)
	compression, ok5 := v[5].(int64)
	md5, ok6 := v[6].(string)
	custom, ok7 := int64(0), true
	if len(v) > 7 {
		custom, ok7 = v[7].(int64)
	}
	if !(ok0 && ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) {
		return a, fmt.Errorf("%w: list attachments: a row of other types than Orthanc writes", ErrIndex)
	}
	a = Attachment{ResourceID: id, FileType: int(fileType), CompressedSize: size, UncompressedSize: whole, Compression: int(compression)}
	return a, a.complete(uuid, md5, custom != 0)
}

func (x *Index) attachmentsQuery() string {
	custom := ""
	if x.CustomData {
		custom = ", IFNULL(length(customData), 0) > 0"
	}
	return `SELECT id, fileType, substr(uuid, 1, 37), compressedSize, uncompressedSize, compressionType,
		IFNULL(substr(compressedMD5, 1, 33), '')` + custom + ` FROM AttachedFiles ORDER BY id, fileType`
}

// complete takes in the columns that need a look.
func (a *Attachment) complete(uuid, md5 string, custom bool) error {
	var err error
	if a.UUID, err = ParseUUID(uuid); err != nil {
		return fmt.Errorf("%w: attachment of resource %d: %w", ErrIndex, a.ResourceID, err)
	}
	if md5 != "" {
		n, err := hex.Decode(a.CompressedMD5[:], []byte(md5[:min(len(md5), 32)]))
		if err != nil || n != 16 || len(md5) != 32 {
			return fmt.Errorf("%w: attachment %s: its MD5 is not well formed", ErrIndex, a.UUID)
		}
		a.HasMD5 = true
	}
	switch {
	case a.CompressedSize < 0 || a.UncompressedSize < 0:
		return fmt.Errorf("%w: attachment %s: negative size", ErrIndex, a.UUID)
	case a.FileType < 0 || a.FileType > 65535:
		return fmt.Errorf("%w: attachment %s: file type %d", ErrIndex, a.UUID, a.FileType)
	case custom:
		return fmt.Errorf("%w: attachment %s lies at a path of its own (plug-in AdvancedStorage)", ErrLayout, a.UUID)
	}
	return nil
}

// Counts is how much an index holds.
type Counts struct {
	Patients, Studies, Series, Instances int64
	Attachments                          int64
	Bytes                                int64 // of all attachments in the storage area
}

// Counts counts, along the indices of the tables: instances are what the other levels leave of all resources. Bytes is the sum that
// Orthanc itself keeps.
func (x *Index) Counts(ctx context.Context) (c Counts, err error) {
	err = x.db.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM Resources WHERE resourceType = 1),
		(SELECT COUNT(*) FROM Resources WHERE resourceType = 2),
		(SELECT COUNT(*) FROM Resources WHERE resourceType = 3),
		(SELECT COUNT(*) FROM Resources) - (SELECT COUNT(*) FROM Resources WHERE resourceType < 4) - (SELECT COUNT(*) FROM Resources WHERE resourceType > 4),
		(SELECT COUNT(*) FROM AttachedFiles)`).Scan(&c.Patients, &c.Studies, &c.Series, &c.Instances, &c.Attachments)
	if err != nil {
		return Counts{}, indexError(ctx, "count", err)
	}
	c.Bytes, err = x.bytes(ctx)
	return c, err
}

// bytes is the size of all attachments in the storage area: the integer that the triggers of Orthanc's schema keep up to date, or the
// sum over all rows where an old index has none.
func (x *Index) bytes(ctx context.Context) (n int64, err error) {
	var tables int
	err = x.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'GlobalIntegers' AND type = 'table'").Scan(&tables)
	if err == nil && tables == 1 {
		err = x.db.QueryRowContext(ctx, "SELECT IFNULL(SUM(value), -1) FROM GlobalIntegers WHERE key = 0").Scan(&n)
	}
	if err == nil && (tables == 0 || n < 0) {
		err = x.db.QueryRowContext(ctx, "SELECT IFNULL(SUM(compressedSize), 0) FROM AttachedFiles").Scan(&n)
	}
	if err != nil {
		return 0, indexError(ctx, "count", err)
	}
	return n, nil
}
