package dicomtest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestSameSeedSameBytes(t *testing.T) {
	for _, k := range Kinds() {
		c := Config{Seed: 5, Kind: k, Series: 2, Instances: 2, Columns: 72}
		first, again := slices.Collect(Study(c)), slices.Collect(Study(c))
		c.Seed++
		other := slices.Collect(Study(c))
		if len(first) != 4 {
			t.Fatalf("%v: %d instances, want 4", k, len(first))
		}
		for i := range first {
			if !bytes.Equal(first[i].Data, again[i].Data) {
				t.Errorf("%v: instance %d differs when made again", k, i)
			}
			if bytes.Equal(first[i].Data[first[i].Header:], other[i].Data[other[i].Header:]) && k != SR {
				t.Errorf("%v: instance %d has the same pixels with another seed", k, i)
			}
		}
	}
}

// TestMoreOfTheSame: a larger study begins with the smaller one, and differs in everything from another of the same patient.
func TestMoreOfTheSame(t *testing.T) {
	c := Config{Seed: 9, Kind: CT, Instances: 2, Columns: 32}
	small := slices.Collect(Study(c))
	c.Instances, c.Series = 5, 2
	large := slices.Collect(Study(c))
	for i := range small {
		if !bytes.Equal(small[i].Data, large[i].Data) {
			t.Errorf("instance %d changes with the number of instances", i)
		}
	}
	for _, other := range []Config{{Seed: 9, Kind: CTSharp, Columns: 32}, {Seed: 9, Kind: CT, Columns: 33}, {Seed: 9, Kind: CT, Columns: 32, Syntax: ImplicitLE}} {
		for i := range Study(other) {
			if i.PatientID != small[0].PatientID || i.StudyUID == small[0].StudyUID || i.SOPInstanceUID == small[0].SOPInstanceUID {
				t.Errorf("%+v: want the same patient and another study", other)
			}
		}
	}
}

// TestIdentifiers: they group as a study does, are UIDs, and stand in the file.
func TestIdentifiers(t *testing.T) {
	patients, studies, series, instances := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for seed := range uint64(2) {
		for i := range Study(Config{Seed: seed, Kind: MR, Series: 3, Instances: 4, Columns: 16}) {
			patients[i.PatientID], studies[i.StudyUID], series[i.SeriesUID], instances[i.SOPInstanceUID] = true, true, true, true
			for _, u := range []string{i.StudyUID, i.SeriesUID, i.SOPInstanceUID} {
				if !strings.HasPrefix(u, "2.25.") || strings.HasPrefix(u, "2.25.0") || len(u) > 44 || strings.Trim(u, "0123456789.") != "" {
					t.Errorf("%q is no UID made from a UUID", u)
				}
				if !bytes.Contains(i.Data, []byte(u)) {
					t.Errorf("%s does not stand in its file", u)
				}
			}
		}
	}
	if len(patients) != 2 || len(studies) != 2 || len(series) != 6 || len(instances) != 24 {
		t.Errorf("%d patients, %d studies, %d series, %d instances, want 2, 2, 6, 24", len(patients), len(studies), len(series), len(instances))
	}
}

// TestHeaders: they have the size of real ones, and a neighbour's adds little to a compressed one.
func TestHeaders(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		all := slices.Collect(Study(Config{Seed: 6, Kind: k, Instances: 2, Columns: 64}))
		a, b := all[0].Data[:all[0].Header], all[1].Data[:all[1].Header]
		if len(a) < 3000 || len(a) > 9000 {
			t.Errorf("%v: a header of %d bytes", k, len(a))
		}
		one, two := len(enc.EncodeAll(a, nil)), len(enc.EncodeAll(slices.Concat(a, b), nil))
		if k != SR && two > one*3/2 {
			t.Errorf("%v: one header is compressed to %d bytes, two to %d", k, one, two)
		}
	}
}

// TestCopies: nothing of the original's identity is left, the pixel data is, and copies group as the originals do.
func TestCopies(t *testing.T) {
	for _, k := range Kinds() {
		for _, s := range []Syntax{ExplicitLE, ImplicitLE, ExplicitBE} {
			all := slices.Collect(Study(Config{Seed: 8, Kind: k, Instances: 2, Columns: 64, Syntax: s}))
			i, m, a := all[0], all[0].Modify(1), all[0].Anonymize(1)
			for name, c := range map[string]Instance{"modified": m, "anonymized": a} {
				for _, old := range []string{i.PatientID, i.StudyUID, i.SeriesUID, i.SOPInstanceUID, newPatient(8).name} {
					if bytes.Contains(c.Data, []byte(old)) {
						t.Errorf("%v, %s: %q of the original is left", k, name, old)
					}
				}
				if !bytes.Equal(c.Data[c.Header:], i.Data[i.Header:]) {
					t.Errorf("%v, %s: other pixel data", k, name)
				}
			}
			if next := all[1].Modify(1); next.SeriesUID != m.SeriesUID || next.StudyUID != m.StudyUID || next.PatientID != m.PatientID || next.SOPInstanceUID == m.SOPInstanceUID {
				t.Errorf("%v: the copies of two neighbours do not belong together", k)
			}
			for name, other := range map[string]Instance{"modified copy 2": i.Modify(2), "anonymized copy 1": a, "a copy of the copy": m.Modify(1)} {
				if other.StudyUID == m.StudyUID || other.PatientID == m.PatientID || other.SOPInstanceUID == m.SOPInstanceUID {
					t.Errorf("%v: modified copy 1 and %s share an identifier", k, name)
				}
			}
			if bytes.Contains(a.Data, []byte("SYNTHETIC HEADER")) || !bytes.Contains(m.Data, []byte("SYNTHETIC HEADER")) {
				t.Errorf("%v: private elements belong into a modified copy and not into an anonymized one", k)
			}
		}
	}
}

func TestArchive(t *testing.T) {
	const n = 200
	seen, total := map[string]bool{}, 0
	for i := range Archive(1, n) {
		if len(i.Data) > 1<<20 {
			t.Errorf("an instance of %d bytes", len(i.Data))
		}
		seen[i.SOPInstanceUID], total = true, total+len(i.Data)
	}
	if len(seen) != n || total/n > 100<<10 {
		t.Errorf("%d instances of %d bytes on average, want %d small ones", len(seen), total/n, n)
	}
}

// TestEncoding compares one small data set with its bytes in each syntax (PS3.5 section 7).
func TestEncoding(t *testing.T) {
	var inner, d dataset
	inner.text(0x00080100, "SH", "A")
	d.us(0x00280010, 0x0102)
	d.sequence(0x00081140, false, inner)
	d.sequence(0x00081111, true, inner)
	for s, want := range map[Syntax]string{
		ExplicitLE: "\x08\x00\x11\x11SQ\x00\x00\xff\xff\xff\xff" + "\xfe\xff\x00\xe0\xff\xff\xff\xff" + "\x08\x00\x00\x01SH\x02\x00A " +
			"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + "\xfe\xff\xdd\xe0\x00\x00\x00\x00" +
			"\x08\x00\x40\x11SQ\x00\x00\x12\x00\x00\x00" + "\xfe\xff\x00\xe0\x0a\x00\x00\x00" + "\x08\x00\x00\x01SH\x02\x00A " +
			"\x28\x00\x10\x00US\x02\x00\x02\x01",
		ImplicitLE: "\x08\x00\x11\x11\xff\xff\xff\xff" + "\xfe\xff\x00\xe0\xff\xff\xff\xff" + "\x08\x00\x00\x01\x02\x00\x00\x00A " +
			"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + "\xfe\xff\xdd\xe0\x00\x00\x00\x00" +
			"\x08\x00\x40\x11\x12\x00\x00\x00" + "\xfe\xff\x00\xe0\x0a\x00\x00\x00" + "\x08\x00\x00\x01\x02\x00\x00\x00A " +
			"\x28\x00\x10\x00\x02\x00\x00\x00\x02\x01",
		ExplicitBE: "\x00\x08\x11\x11SQ\x00\x00\xff\xff\xff\xff" + "\xff\xfe\xe0\x00\xff\xff\xff\xff" + "\x00\x08\x01\x00SH\x00\x02A " +
			"\xff\xfe\xe0\x0d\x00\x00\x00\x00" + "\xff\xfe\xe0\xdd\x00\x00\x00\x00" +
			"\x00\x08\x11\x40SQ\x00\x00\x00\x00\x00\x12" + "\xff\xfe\xe0\x00\x00\x00\x00\x0a" + "\x00\x08\x01\x00SH\x00\x02A " +
			"\x00\x28\x00\x10US\x00\x02\x01\x02",
	} {
		if got := string(d.encode(nil, s)); got != want {
			t.Errorf("syntax %d:\n%q, want\n%q", s, got, want)
		}
	}
}
