package orthanc

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
)

// Patient, Study and Series hold patient data: they are printed to who may read the archive, and never logged. Tag
// values are as Orthanc keeps them, empty where a tag is absent.
type Patient struct {
	ID        string // Orthanc's identifier
	PatientID string
	Name      string
	BirthDate string
	Sex       string
	Studies   int64
	Instances int64
}

// Study is a study with its patient.
type Study struct {
	ID               string // Orthanc's identifier
	PatientID        string
	PatientName      string
	StudyInstanceUID string
	Date             string
	Description      string
	AccessionNumber  string
	Series           int64
	Instances        int64
}

// Series is a series with the study that it belongs to.
type Series struct {
	ID                string // Orthanc's identifier
	StudyInstanceUID  string
	SeriesInstanceUID string
	Modality          string
	Number            string
	Description       string
	Instances         int64
}

// tag is the SQL for a DICOM tag of the resource with that alias. Up to 1024 characters; identifiers that only the
// table of normalised values has come from there.
func tag(alias string, group, element int) string {
	one := func(table string) string {
		return fmt.Sprintf("(SELECT substr(value, 1, 1024) FROM %s WHERE id = %s.internalId AND tagGroup = %d AND tagElement = %d)",
			table, alias, group, element)
	}
	return "COALESCE(" + one("MainDicomTags") + ", " + one("DicomIdentifiers") + ", '')"
}

const (
	childrenOfR      = "(SELECT COUNT(*) FROM Resources a WHERE a.parentId = r.internalId)"
	grandchildrenOfR = `(SELECT COUNT(*) FROM Resources a JOIN Resources b ON b.parentId = a.internalId
		WHERE a.parentId = r.internalId)`
	greatGrandchildrenOfR = `(SELECT COUNT(*) FROM Resources a JOIN Resources b ON b.parentId = a.internalId
		JOIN Resources c ON c.parentId = b.internalId WHERE a.parentId = r.internalId)`
	fromR = " FROM Resources r LEFT JOIN Resources p ON p.internalId = r.parentId WHERE r.resourceType = %d ORDER BY r.internalId"
)

// Patients lists the patients in the order in which they came.
func (x *Index) Patients(ctx context.Context) iter.Seq2[Patient, error] {
	query := "SELECT r.publicId, " + tag("r", 0x10, 0x20) + ", " + tag("r", 0x10, 0x10) + ", " + tag("r", 0x10, 0x30) + ", " +
		tag("r", 0x10, 0x40) + ", " + childrenOfR + ", " + greatGrandchildrenOfR + fmt.Sprintf(fromR, 1)
	return list(ctx, x, query, func(p *Patient) []any {
		return []any{&p.ID, &p.PatientID, &p.Name, &p.BirthDate, &p.Sex, &p.Studies, &p.Instances}
	})
}

// Studies lists the studies in the order in which they came.
func (x *Index) Studies(ctx context.Context) iter.Seq2[Study, error] {
	query := "SELECT r.publicId, " + tag("p", 0x10, 0x20) + ", " + tag("p", 0x10, 0x10) + ", " + tag("r", 0x20, 0x0d) + ", " +
		tag("r", 0x08, 0x20) + ", " + tag("r", 0x08, 0x1030) + ", " + tag("r", 0x08, 0x50) + ", " + childrenOfR + ", " +
		grandchildrenOfR + fmt.Sprintf(fromR, 2)
	return list(ctx, x, query, func(s *Study) []any {
		return []any{&s.ID, &s.PatientID, &s.PatientName, &s.StudyInstanceUID, &s.Date, &s.Description, &s.AccessionNumber,
			&s.Series, &s.Instances}
	})
}

// Series lists the series in the order in which they came.
func (x *Index) Series(ctx context.Context) iter.Seq2[Series, error] {
	query := "SELECT r.publicId, " + tag("p", 0x20, 0x0d) + ", " + tag("r", 0x20, 0x0e) + ", " + tag("r", 0x08, 0x60) + ", " +
		tag("r", 0x20, 0x11) + ", " + tag("r", 0x08, 0x103e) + ", " + childrenOfR + fmt.Sprintf(fromR, 3)
	return list(ctx, x, query, func(s *Series) []any {
		return []any{&s.ID, &s.StudyInstanceUID, &s.SeriesInstanceUID, &s.Modality, &s.Number, &s.Description, &s.Instances}
	})
}

// list yields one T for each row, whose columns columns names.
func list[T any](ctx context.Context, x *Index, query string, columns func(*T) []any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		rows, err := x.db.QueryContext(ctx, query)
		if err != nil {
			yield(zero, indexError(ctx, "list resources", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var row T
			if err := scan(rows, columns(&row)); err != nil {
				yield(zero, indexError(ctx, "list resources", err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(zero, indexError(ctx, "list resources", err))
		}
	}
}

// scan reads a row. The driver's error would quote a value, which may be a patient's.
func scan(rows *sql.Rows, into []any) error {
	if err := rows.Scan(into...); err != nil {
		return fmt.Errorf("a row is not well formed")
	}
	return nil
}
