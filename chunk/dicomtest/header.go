package dicomtest

import (
	"fmt"
	"strings"
	"time"
)

const (
	tagSOPClass    = 0x00080016
	tagSOPInstance = 0x00080018
	tagPatientName = 0x00100010
	tagPatientID   = 0x00100020
	tagStudyUID    = 0x0020000d
	tagSeriesUID   = 0x0020000e
)

// A patient does not exist.
type patient struct {
	id, name, birth, sex string
	studyTime            time.Time
}

func newPatient(seed uint64) patient {
	r := random("patient", seed)
	family := []string{"PHANTOM", "SYNTHETIC", "TESTOBJECT", "MANNEQUIN", "GENERATED"}[r.IntN(5)]
	given := []string{"WATER", "ACRYLIC", "PLASTIC", "GELATINE", "WAX"}[r.IntN(5)]
	day := time.Date(2015, 1, 1, 7, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(3600))
	return patient{
		id:        fmt.Sprintf("SYN-%08X", r.Uint32()),
		name:      family + "^" + given,
		birth:     time.Date(1930+r.IntN(80), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC).Format("20060102"),
		sex:       []string{"F", "M", "O"}[r.IntN(3)],
		studyTime: day.Add(time.Duration(r.IntN(40_000)) * time.Second),
	}
}

// time adds a date and time at the two tags.
func (d *dataset) time(date, clock uint32, t time.Time) {
	d.text(date, "DA", t.Format("20060102"))
	d.text(clock, "TM", t.Format("150405.000"))
}

// sharedHeader is what all instances of the series have in common: patient, study, series, equipment, protocol.
func (s *series) sharedHeader() dataset {
	var d dataset
	start := s.patient.studyTime.Add(time.Duration(s.number) * 4 * time.Minute)
	d.text(0x00080005, "CS", "ISO_IR 100")
	d.text(tagSOPClass, "UI", s.sopClass)
	d.time(0x00080020, 0x00080030, s.patient.studyTime)
	d.time(0x00080021, 0x00080031, start)
	d.text(0x00080050, "SH", fmt.Sprintf("ACC%06d", random("accession", s.study).IntN(1e6)))
	d.text(0x00080060, "CS", s.modality)
	d.text(0x00080070, "LO", "Orthokeep Synthetic")
	d.text(0x00080080, "LO", "Hospital of Generated Data")
	d.text(0x00080081, "ST", "1 Example Street, Nowhere")
	d.text(0x00080090, "PN", "REFERRING^NOBODY")
	d.text(0x00081010, "SH", "SYN"+s.modality+"1")
	d.text(0x00081030, "LO", "PHANTOM STUDY "+strings.ToUpper(s.name))
	d.text(0x0008103e, "LO", fmt.Sprintf("SERIES %d %s", s.number, strings.ToUpper(s.name)))
	d.text(0x00081040, "LO", "Radiology")
	d.text(0x00081090, "LO", s.model)
	d.sequence(0x00081111, true, reference("1.2.840.10008.3.1.2.3.3", uid("procedure", s.uid)))
	d.text(tagPatientName, "PN", s.patient.name)
	d.text(tagPatientID, "LO", s.patient.id)
	d.text(0x00100030, "DA", s.patient.birth)
	d.text(0x00100040, "CS", s.patient.sex)
	d.number(0x00101030, "DS", 40+s.Seed%60)
	d.text(0x00181000, "LO", fmt.Sprintf("%06d", s.Seed%1e6))
	d.text(0x00181020, "LO", "syn.1.0.0")
	d.text(0x00181030, "LO", "PHANTOM PROTOCOL / "+strings.ToUpper(s.name))
	d.text(tagStudyUID, "UI", s.study)
	d.text(tagSeriesUID, "UI", s.uid)
	d.text(0x00200010, "SH", fmt.Sprint(1000+s.Seed%9000))
	d.number(0x00200011, "IS", s.number)
	d.text(0x00200052, "UI", uid("frame of reference", s.study))
	d.text(0x00201040, "LO", "")
	d = append(d, s.protocol()...)
	d = append(d, s.sharedPrivate()...)
	var code dataset
	code.text(0x00080100, "SH", "SYN-1")
	code.text(0x00080102, "SH", "99SYNTHETIC")
	code.text(0x00080104, "LO", "Scan of a phantom that does not exist")
	var step dataset
	step.text(0x00400007, "LO", "PHANTOM STEP")
	step.sequence(0x00400008, true, code)
	step.text(0x00400009, "SH", fmt.Sprint("STEP", s.number))
	d.sequence(0x00400275, false, step)
	return d
}

func reference(class, instance string) dataset {
	var d dataset
	d.text(0x00081150, "UI", class)
	d.text(0x00081155, "UI", instance)
	return d
}

// protocol is how the modality took the images.
func (s *series) protocol() dataset {
	var d dataset
	switch s.modality {
	case "CT":
		d.text(0x00180015, "CS", "ABDOMEN")
		d.text(0x00180022, "CS", "HELICAL MODE")
		d.number(0x00180050, "DS", 2.5)
		d.number(0x00180060, "DS", 120)
		d.number(0x00180090, "DS", 500)
		d.number(0x00181100, "DS", 360)
		d.number(0x00181120, "DS", 0)
		d.number(0x00181150, "IS", 570)
		d.text(0x00181160, "SH", "BODY FILTER")
		d.text(0x00181210, "SH", "SYN-"+s.name)
		d.text(0x00185100, "CS", "HFS")
		d.fd(0x00189305, 0.5)
		d.fd(0x00189306, 0.625)
		d.fd(0x00189311, 0.984)
	case "MR":
		d.text(0x00180015, "CS", "HEAD")
		d.text(0x00180020, "CS", "GR")
		d.text(0x00180021, "CS", `SP\MP`)
		d.text(0x00180023, "CS", "3D")
		d.text(0x00180024, "SH", "*syn3d1_16ns")
		d.number(0x00180050, "DS", 1)
		d.number(0x00180080, "DS", 2300)
		d.number(0x00180081, "DS", 2.98)
		d.number(0x00180087, "DS", 3)
		d.number(0x00180095, "DS", 240)
		d.us(0x00181310, 0, 256, 240, 0)
		d.number(0x00181314, "DS", 9)
		d.text(0x00185100, "CS", "HFS")
	case "CR":
		d.text(0x00180015, "CS", "CHEST")
		d.number(0x00180060, "DS", 117)
		d.text(0x00185101, "CS", "PA")
		d.sequence(0x00880200, false, icon())
	case "US":
		var region dataset
		region.us(0x00186012, 1)
		region.us(0x00186014, 1)
		region.fd(0x0018602c, 0.035)
		region.fd(0x0018602e, 0.035)
		d.sequence(0x00186011, false, region)
		d.number(0x00181063, "DS", 40)
		d.text(0x00280009, "AT", "\x18\x00\x63\x10") // frame increment pointer: Frame Time
	}
	return d
}

// icon is a small image inside the header (PS3.3 C.7.6.1.1.6), with pixel data of its own.
func icon() dataset {
	var d dataset
	d.us(0x00280002, 1)
	d.text(0x00280004, "CS", "MONOCHROME2")
	d.us(0x00280010, 32)
	d.us(0x00280011, 32)
	d.us(0x00280100, 8)
	d.us(0x00280101, 8)
	d.us(0x00280102, 7)
	d.us(0x00280103, 0)
	d.raw(tagPixelData, "OW", blob(random("icon"), 1024))
	return d
}

// sharedPrivate are private elements, the same in the whole series: text, numbers, and what other software would have
// to guess at.
func (s *series) sharedPrivate() dataset {
	var d dataset
	r := random("private", s.uid)
	d.text(0x00190010, "LO", "SYNTHETIC ACQ 01")
	for i := range uint32(24) {
		d.number(0x00191010+i, "DS", float64(r.IntN(1e6))/1000)
	}
	d.text(0x00191040, "LT", strings.Repeat("gain=1.25;table=auto;filter=body;", 6))
	d.text(0x00290010, "LO", "SYNTHETIC HEADER")
	d.raw(0x00291010, "OB", blob(r, 1200))
	d.raw(0x00291018, "UN", blob(r, 300))
	var inner dataset
	inner.text(0x00290010, "LO", "SYNTHETIC HEADER")
	inner.text(0x00291041, "SH", "inner")
	inner.sequence(0x00291042, false, code("SYN-2", "inside"))
	d.sequence(0x00291140, false, inner) // of undefined length it would be of an unknown kind when implicit
	return d
}

func code(value, meaning string) dataset {
	var d dataset
	d.text(0x00080100, "SH", value)
	d.text(0x00080102, "SH", "99SYNTHETIC")
	d.text(0x00080104, "LO", meaning)
	return d
}
