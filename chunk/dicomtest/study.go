package dicomtest

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Config says what Study makes. The zero value of a number means the kind's own.
//
// Seed decides the patient; everything but Series and Instances decides the study with its identifiers and pixels. So studies
// of two kinds with one seed belong to one patient, and a study asked for again with more series or instances has the
// same ones as before, and more.
type Config struct {
	Seed      uint64
	Kind      Kind
	Series    int    // series of the study; 1
	Instances int    // instances of each series; 1
	Columns   int    // of an image; smaller images make smaller files, and 64x64 of 16 bits one of about 13 KB
	Rows      int    // the same as Columns when that is given
	Frames    int    // of US, MultiCT and MultiMR
	Syntax    Syntax // of all but JPEG2000
}

// An Instance is one DICOM file (PS3.10) and what identifies it. Its memory is its own: the generator keeps none of it.
type Instance struct {
	PatientID      string
	StudyUID       string
	SeriesUID      string
	SOPInstanceUID string

	Data   []byte // the file; not to be changed if Modify or Anonymize are called later
	Header int    // bytes of Data before the first byte of the value of PixelData; all of them when there is none

	set    dataset
	syntax Syntax
	uid    string // of the transfer syntax
}

// Study yields the instances of one study, series by series. A file below 64 KiB is never cut by package chunk, so
// images that are to be cut need some 192x192 pixels. It panics on a Config that makes no sense.
func Study(c Config) iter.Seq[Instance] {
	if c.Kind < 0 || c.Kind >= kindCount || c.Columns < 0 || c.Columns > 65535 || c.Rows < 0 || c.Rows > 65535 {
		panic(fmt.Sprintf("dicomtest: bad config %+v", c))
	}
	sp := specs[c.Kind]
	if c.Columns > 0 {
		sp.cols, sp.rows = c.Columns, c.Columns
	}
	if c.Rows > 0 {
		sp.rows = c.Rows
	}
	if c.Frames > 0 && sp.frames > 0 {
		sp.frames = c.Frames
	}
	return func(yield func(Instance) bool) {
		for n := range max(1, c.Series) {
			s := newSeries(c, sp, n)
			for z := range max(1, c.Instances) {
				if !yield(s.instance(z)) {
					return
				}
			}
		}
	}
}

// Archive yields n small instances in studies of all kinds and encodings, most of them CT and MR of 64x64 to 192x192
// pixels: 10 to 80 KB each.
func Archive(seed uint64, n int) iter.Seq[Instance] {
	return func(yield func(Instance) bool) {
		r := random("archive", seed)
		mix := []Kind{CT, CT, CT, CT, CTSharp, CTSharp, MR, MR, MR, CR, US, MultiCT, MultiMR, JPEG2000, SR}
		for n > 0 {
			c := Config{
				Seed:      r.Uint64(),
				Kind:      mix[r.IntN(len(mix))],
				Series:    1 + r.IntN(3),
				Instances: 1,
				Columns:   []int{64, 64, 64, 128, 192}[r.IntN(5)],
				Frames:    4,
				Syntax:    []Syntax{ExplicitLE, ExplicitLE, ExplicitLE, ExplicitLE, ImplicitLE, ExplicitBE}[r.IntN(6)],
			}
			if specs[c.Kind].frames == 0 && c.Kind != SR {
				c.Instances = 5 + r.IntN(20)
			}
			for i := range Study(c) {
				if n == 0 || !yield(i) {
					return
				}
				n--
			}
		}
	}
}

// A series is what its instances share.
type series struct {
	Config
	spec
	number  int
	patient patient
	study   string // UIDs
	uid     string
	shared  dataset
	painter *painter
}

func newSeries(c Config, sp spec, number int) *series {
	s := &series{Config: c, spec: sp, number: number + 1}
	s.patient = newPatient(c.Seed)
	s.study = uid("study", c.Seed, sp.name, sp.cols, sp.rows, sp.frames, c.Syntax)
	s.uid = uid("series", s.study, number)
	s.shared = s.sharedHeader()
	if sp.look.top > 0 {
		s.painter = newPainter(digest("anatomy", s.uid), sp.look, sp.cols, sp.rows)
	}
	return s
}

func (s *series) instance(z int) Instance {
	i := Instance{
		PatientID:      s.patient.id,
		StudyUID:       s.study,
		SeriesUID:      s.uid,
		SOPInstanceUID: uid("instance", s.uid, z),
		syntax:         s.Syntax,
	}
	i.set = append(dataset(nil), s.shared...)
	i.set = append(i.set, s.instanceHeader(i.SOPInstanceUID, z)...)
	i.uid = s.Syntax.uid()
	switch s.Kind {
	case SR:
		i.set = append(i.set, s.report(z)...)
	case JPEG2000:
		i.syntax, i.uid = ExplicitLE, "1.2.840.10008.1.2.4.90"
		i.set = append(i.set, s.encapsulated(z))
	default:
		i.set = append(i.set, s.native(z))
	}
	i.encode()
	return i
}

// encode makes Data and Header from the data set.
func (i *Instance) encode() {
	set := i.set.sorted()
	pixels := set.find(tagPixelData)
	size := 32 << 10
	if pixels != nil {
		size += len(pixels.value)
	}
	b := make([]byte, 128, size)
	b = append(b, "DICM"...)
	b = append(b, fileMeta(set, i.uid)...)
	if pixels == nil {
		i.Data = set.encode(b, i.syntax)
		i.Header = len(i.Data)
		return
	}
	b = set[:len(set)-1].encode(b, i.syntax) // pixel data has the highest tag of all
	i.Header = len(pixels.header(b, i.syntax, 0))
	i.Data = pixels.encode(b, i.syntax)
}

// fileMeta is group 2 (PS3.10 section 7.1).
func fileMeta(set dataset, syntax string) []byte {
	var meta dataset
	meta.raw(0x00020001, "OB", []byte{0, 1})
	meta.raw(0x00020002, "UI", set.find(tagSOPClass).value)
	meta.raw(0x00020003, "UI", set.find(tagSOPInstance).value)
	meta.text(0x00020010, "UI", syntax)
	meta.text(0x00020012, "UI", uid("implementation"))
	meta.text(0x00020013, "SH", "ORTHOKEEP_TEST")
	body := meta.encode(nil, ExplicitLE)
	var length dataset
	length.raw(0x00020000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(len(body))))
	return append(length.encode(nil, ExplicitLE), body...)
}
