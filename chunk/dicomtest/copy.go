package dicomtest

import (
	"fmt"
	"slices"
	"strings"
)

// Modify returns the copy that Orthanc's /patients/{id}/modify makes: other identifiers throughout, another patient,
// the header encoded anew, the pixel data the same. Copies of one number keep their studies and series together.
func (i Instance) Modify(number uint64) Instance {
	c := i.copied("M", number)
	c.set.set(tagPatientName, "PN", fmt.Sprintf("MODIFIED^COPY %d", number))
	c.encode()
	return c
}

// Anonymize returns the copy that Orthanc's /studies/{id}/anonymize makes: as Modify, and what tells of a person or a
// place is gone, with all private elements.
func (i Instance) Anonymize(number uint64) Instance {
	c := i.copied("A", number)
	c.set = slices.DeleteFunc(c.set, func(e element) bool {
		switch e.tag {
		case 0x00080050, 0x00080080, 0x00080081, 0x00080090, 0x00081010, 0x00081030, 0x0008103e, 0x00081040,
			0x00081111, 0x00081140, 0x00100030, 0x00100040, 0x00101030, 0x00181000, 0x00181030, 0x00200010, 0x00400275:
			return true
		}
		return e.tag>>16&1 == 1
	})
	c.set.set(tagPatientName, "PN", fmt.Sprintf("Anonymized%d", number))
	c.set.text(0x00120062, "CS", "YES")
	c.set.text(0x00120063, "LO", "Orthanc 1.10.1 - PS 3.15-2021b Table E.1-1 Basic Profile")
	c.encode()
	return c
}

// copied has the identifiers of a copy, which its route and number decide, and its Data still to be encoded.
func (i Instance) copied(route string, number uint64) Instance {
	renew := func(old string) string { return uid("copy", route, number, old) }
	c := Instance{
		PatientID:      fmt.Sprintf("SYN-%s%d-%s", route, number, strings.TrimPrefix(i.PatientID, "SYN-")),
		StudyUID:       renew(i.StudyUID),
		SeriesUID:      renew(i.SeriesUID),
		SOPInstanceUID: renew(i.SOPInstanceUID),
		set:            i.set.renewed(renew),
		syntax:         i.syntax,
		uid:            i.uid,
	}
	c.set.set(tagPatientID, "LO", c.PatientID)
	return c
}

// renewed replaces all UIDs made here and closes the sequences, as dcmtk writes them.
func (d dataset) renewed(renew func(string) string) dataset {
	var out dataset
	for _, e := range d {
		if e.vr == "UI" {
			if old := strings.TrimRight(string(e.value), "\x00"); strings.HasPrefix(old, "2.25.") {
				out.text(e.tag, e.vr, renew(old))
				continue
			}
		}
		if e.items != nil {
			items := make([]dataset, len(e.items))
			for i, it := range e.items {
				items[i] = it.renewed(renew)
			}
			e.items = items
			e.open = false
		}
		out = append(out, e)
	}
	return out
}
