package dicomtest

import (
	"fmt"
	"time"
)

// instanceHeader is what differs from one instance of the series to the next.
func (s *series) instanceHeader(instance string, z int) dataset {
	var d dataset
	taken := s.patient.studyTime.Add(time.Duration(s.number)*4*time.Minute + time.Duration(z)*437*time.Millisecond)
	d.text(tagSOPInstance, "UI", instance)
	d.time(0x00080012, 0x00080013, taken.Add(40*time.Second))
	d.time(0x00080023, 0x00080033, taken)
	d.number(0x00200013, "IS", z+1)
	if s.Kind == SR {
		return d
	}
	d.text(0x00080008, "CS", `ORIGINAL\PRIMARY\AXIAL`)
	d.time(0x00080022, 0x00080032, taken)
	d.sequence(0x00081140, z%2 == 1, reference(s.sopClass, uid("scout", s.uid)))
	d.number(0x00181152, "IS", 80+z%17)
	d = append(d, s.pixelModule()...)
	if s.frames > 0 {
		d.number(0x00280008, "IS", s.frames)
	}
	if s.Kind == MultiCT || s.Kind == MultiMR {
		d = append(d, s.functionalGroups()...)
	} else if s.frames == 0 {
		d.number(0x00200032, "DS", -180, -180, position(z))
		d.number(0x00200037, "DS", 1, 0, 0, 0, 1, 0)
		d.number(0x00201041, "DS", position(z))
	}

	r := random("private", s.uid, z)
	d.text(0x00210010, "LO", "SYNTHETIC IMG 01")
	d.number(0x00211001, "DS", float64(r.IntN(1e9))/1e6)
	d.raw(0x00211010, "OB", blob(r, 256))
	return d
}

func position(z int) string { return fmt.Sprintf("%.2f", -420.5+2.5*float64(z)) }

// pixelModule is group 28 (PS3.3 C.7.6.3).
func (s *series) pixelModule() dataset {
	var d dataset
	d.us(0x00280002, uint16(s.samples))
	photometric := "MONOCHROME2"
	if s.samples == 3 {
		photometric = "RGB"
		d.us(0x00280006, 0)
	}
	d.text(0x00280004, "CS", photometric)
	d.us(0x00280010, uint16(s.rows))
	d.us(0x00280011, uint16(s.cols))
	d.number(0x00280030, "DS", 0.703125, 0.703125)
	allocated := uint16(16)
	if s.stored <= 8 {
		allocated = 8
	}
	d.us(0x00280100, allocated)
	d.us(0x00280101, uint16(s.stored))
	d.us(0x00280102, uint16(s.stored-1))
	d.us(0x00280103, 0)
	d.number(0x00281050, "DS", 40, 300)
	d.number(0x00281051, "DS", 400, 1500)
	if s.modality == "CT" {
		d.number(0x00281052, "DS", -1024)
		d.number(0x00281053, "DS", 1)
		d.text(0x00281054, "LO", "HU")
	}
	return d
}

// functionalGroups are what enhanced objects have in place of one header per image (PS3.3 C.7.6.16).
func (s *series) functionalGroups() dataset {
	var measures, orientation, shared dataset
	measures.number(0x00180050, "DS", 2.5)
	measures.number(0x00280030, "DS", 0.703125, 0.703125)
	orientation.number(0x00200037, "DS", 1, 0, 0, 0, 1, 0)
	shared.sequence(0x00209116, false, orientation)
	shared.sequence(0x00289110, false, measures)

	var frames []dataset
	for f := range s.frames {
		var content, plane, frame dataset
		content.us(0x00209056, 1)
		content.us(0x00209057, uint16(f+1))
		content.text(0x00209453, "LO", fmt.Sprint("frame ", f+1))
		plane.number(0x00200032, "DS", -180, -180, position(f))
		frame.sequence(0x00209111, true, content)
		frame.sequence(0x00209113, true, plane)
		frames = append(frames, frame)
	}
	var d dataset
	d.sequence(0x52009229, false, shared)
	d.sequence(0x52009230, true, frames...)
	return d
}

// report is the content of a structured report (PS3.3 C.17.3): a container of containers of text.
func (s *series) report(z int) dataset {
	r := random("report", s.uid, z)
	node := func(relation, valueType, meaning string) dataset {
		var d dataset
		d.text(0x0040a010, "CS", relation)
		d.text(0x0040a040, "CS", valueType)
		d.sequence(0x0040a043, false, code("SYN-3", meaning))
		return d
	}
	var sections []dataset
	for i := range 4 {
		var items []dataset
		for range 3 + r.IntN(5) {
			text := node("CONTAINS", "TEXT", "Finding")
			text.text(0x0040a160, "UT", fmt.Sprintf("Insert %d measures %d mm across and is as it was made.", r.IntN(40), r.IntN(100)))
			items = append(items, text)
		}
		section := node("CONTAINS", "CONTAINER", fmt.Sprint("Section ", i+1))
		section.text(0x0040a050, "CS", "SEPARATE")
		section.sequence(0x0040a730, i%2 == 0, items...)
		sections = append(sections, section)
	}
	var d dataset
	d.text(0x0040a040, "CS", "CONTAINER")
	d.sequence(0x0040a043, false, code("SYN-4", "Report on a phantom"))
	d.text(0x0040a050, "CS", "SEPARATE")
	d.text(0x0040a491, "CS", "COMPLETE")
	d.text(0x0040a493, "CS", "UNVERIFIED")
	d.sequence(0x0040a730, true, sections...)
	return d
}
