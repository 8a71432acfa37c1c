package orthanctest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Sample returns a small DICOM instance (PS3.10, explicit little endian, secondary capture, 16-bit noise of
// side × side pixels) that depends on its arguments alone: patient, study, series and instance number it, so that two
// samples share the patient, study or series whose numbers are equal.
func Sample(patient, study, series, instance, side int) []byte {
	const root = "1.2.826.0.1.3680043.10.1"
	studyUID := fmt.Sprintf("%s.%d.%d", root, patient, study)
	seriesUID := fmt.Sprintf("%s.%d", studyUID, series)
	instanceUID := fmt.Sprintf("%s.%d", seriesUID, instance)
	const class = "1.2.840.10008.5.1.4.1.1.7" // Secondary Capture Image Storage

	meta := element(nil, 0x0002, 0x0001, "OB", []byte{0, 1})
	meta = element(meta, 0x0002, 0x0002, "UI", []byte(class))
	meta = element(meta, 0x0002, 0x0003, "UI", []byte(instanceUID))
	meta = element(meta, 0x0002, 0x0010, "UI", []byte("1.2.840.10008.1.2.1"))
	meta = element(meta, 0x0002, 0x0012, "UI", []byte(root))

	file := append(make([]byte, 128), "DICM"...)
	file = element(file, 0x0002, 0x0000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))
	file = append(file, meta...)
	text := func(group, number uint16, vr, value string) { file = element(file, group, number, vr, []byte(value)) }
	short := func(group, number uint16, value int) {
		file = element(file, group, number, "US", binary.LittleEndian.AppendUint16(nil, uint16(value)))
	}
	text(0x0008, 0x0016, "UI", class)
	text(0x0008, 0x0018, "UI", instanceUID)
	text(0x0008, 0x0020, "DA", fmt.Sprintf("2024%02d%02d", 1+study%12, 1+study%28))
	text(0x0008, 0x0050, "SH", fmt.Sprintf("ACC%d", study))
	text(0x0008, 0x0060, "CS", "OT")
	text(0x0008, 0x1030, "LO", fmt.Sprintf("Study %d", study))
	text(0x0008, 0x103e, "LO", fmt.Sprintf("Series %d", series))
	text(0x0010, 0x0010, "PN", fmt.Sprintf("Sample^Patient%d", patient))
	text(0x0010, 0x0020, "LO", fmt.Sprintf("P%d", patient))
	text(0x0020, 0x000d, "UI", studyUID)
	text(0x0020, 0x000e, "UI", seriesUID)
	text(0x0020, 0x0013, "IS", fmt.Sprint(instance))
	short(0x0028, 0x0002, 1)
	text(0x0028, 0x0004, "CS", "MONOCHROME2")
	short(0x0028, 0x0010, side)
	short(0x0028, 0x0011, side)
	short(0x0028, 0x0100, 16)
	short(0x0028, 0x0101, 12)
	short(0x0028, 0x0102, 11)
	short(0x0028, 0x0103, 0)

	pixels := make([]byte, 2*side*side)
	noise := rand.New(rand.NewPCG(uint64(patient)<<32|uint64(study), uint64(series)<<32|uint64(instance)))
	for i := 0; i < len(pixels); i += 2 {
		binary.LittleEndian.PutUint16(pixels[i:], uint16(1000+noise.IntN(64)))
	}
	return element(file, 0x7fe0, 0x0010, "OW", pixels)
}

// element appends one data element in explicit little endian (PS3.5 section 7.1.2), padded to even length.
func element(to []byte, group, number uint16, vr string, value []byte) []byte {
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		value = append(bytes.Clone(value), pad)
	}
	to = binary.LittleEndian.AppendUint16(to, group)
	to = binary.LittleEndian.AppendUint16(to, number)
	to = append(to, vr...)
	if vr == "OB" || vr == "OW" {
		to = binary.LittleEndian.AppendUint32(append(to, 0, 0), uint32(len(value)))
	} else {
		to = binary.LittleEndian.AppendUint16(to, uint16(len(value)))
	}
	return append(to, value...)
}
