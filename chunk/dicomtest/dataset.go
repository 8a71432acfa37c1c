package dicomtest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Syntax is how a data set is encoded (PS3.5 section 10).
type Syntax int

const (
	ExplicitLE Syntax = iota // Explicit VR Little Endian
	ImplicitLE               // Implicit VR Little Endian
	ExplicitBE               // Explicit VR Big Endian, retired
)

func (s Syntax) uid() string {
	return []string{"1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"}[s]
}

func (s Syntax) order() binary.AppendByteOrder {
	if s == ExplicitBE {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

const undefined = 0xffffffff

// A dataset is a list of elements in the order in which they were added; sorted gives the order of a file.
type dataset []element

// An element has a value, items or fragments, by its VR.
type element struct {
	tag       uint32 // group<<16 | element
	vr        string
	value     []byte    // numbers in little endian; even length
	items     []dataset // of a sequence (SQ)
	fragments [][]byte  // encapsulated pixel data, the Basic Offset Table first
	open      bool      // the sequence and its items are of undefined length
}

// text adds an element of characters, padded to an even length.
func (d *dataset) text(tag uint32, vr, s string) {
	b := []byte(s)
	if len(b)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		b = append(b, pad)
	}
	d.raw(tag, vr, b)
}

// number adds an element of decimal strings (DS, IS).
func (d *dataset) number(tag uint32, vr string, values ...any) {
	s := ""
	for i, v := range values {
		if i > 0 {
			s += `\`
		}
		s += fmt.Sprint(v)
	}
	d.text(tag, vr, s)
}

func (d *dataset) us(tag uint32, values ...uint16) {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	d.raw(tag, "US", b)
}

func (d *dataset) fd(tag uint32, values ...float64) {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	d.raw(tag, "FD", b)
}

func (d *dataset) raw(tag uint32, vr string, value []byte) {
	*d = append(*d, element{tag: tag, vr: vr, value: value})
}

// sequence adds items; open gives it and its items no length but delimiters.
func (d *dataset) sequence(tag uint32, open bool, items ...dataset) {
	*d = append(*d, element{tag: tag, vr: "SQ", items: items, open: open})
}

func (d dataset) sorted() dataset {
	return slices.SortedStableFunc(slices.Values(d), func(a, b element) int { return cmp.Compare(a.tag, b.tag) })
}

// find returns the element of a tag, nil when there is none.
func (d dataset) find(tag uint32) *element {
	i := slices.IndexFunc(d, func(e element) bool { return e.tag == tag })
	if i < 0 {
		return nil
	}
	return &d[i]
}

// set replaces the text of a tag, or adds it.
func (d *dataset) set(tag uint32, vr, s string) {
	*d = slices.DeleteFunc(*d, func(e element) bool { return e.tag == tag })
	d.text(tag, vr, s)
}

// encode appends the data set to b.
func (d dataset) encode(b []byte, s Syntax) []byte {
	for _, e := range d.sorted() {
		b = e.encode(b, s)
	}
	return b
}

func (e element) encode(b []byte, s Syntax) []byte {
	if e.fragments != nil {
		b = e.header(b, s, undefined)
		for _, f := range e.fragments {
			b = append(item(b, s, tagItem, uint32(len(f))), f...)
		}
		return item(b, s, tagSequenceEnd, 0)
	}
	if e.vr != "SQ" {
		b = e.header(b, s, uint32(len(e.value)))
		return append(b, swapped(e.value, unit(e.vr), s)...)
	}
	start := len(b)
	b = e.header(b, s, undefined)
	value := len(b)
	for _, it := range e.items {
		b = item(b, s, tagItem, undefined)
		content := len(b)
		b = it.encode(b, s)
		if e.open {
			b = item(b, s, tagItemEnd, 0)
		} else {
			s.order().AppendUint32(b[:content-4], uint32(len(b)-content))
		}
	}
	if e.open {
		return item(b, s, tagSequenceEnd, 0)
	}
	e.header(b[:start], s, uint32(len(b)-value)) // over the one above
	return b
}

const (
	tagItem        = 0xfffee000
	tagItemEnd     = 0xfffee00d
	tagSequenceEnd = 0xfffee0dd
)

func item(b []byte, s Syntax, tag, length uint32) []byte {
	return s.order().AppendUint32(appendTag(b, s, tag), length)
}

func appendTag(b []byte, s Syntax, tag uint32) []byte {
	return s.order().AppendUint16(s.order().AppendUint16(b, uint16(tag>>16)), uint16(tag))
}

// header appends tag, VR and length (PS3.5 section 7.1).
func (e element) header(b []byte, s Syntax, length uint32) []byte {
	b = appendTag(b, s, e.tag)
	if s == ImplicitLE {
		return s.order().AppendUint32(b, length)
	}
	b = append(b, e.vr...)
	switch e.vr {
	case "OB", "OW", "SQ", "UN", "UT":
		return s.order().AppendUint32(append(b, 0, 0), length)
	}
	return s.order().AppendUint16(b, uint16(length))
}

// unit is the length in bytes of the numbers of a VR.
func unit(vr string) int {
	switch vr {
	case "US", "SS", "OW", "AT":
		return 2
	case "UL", "FL":
		return 4
	case "FD":
		return 8
	}
	return 1
}

// swapped returns the value in the byte order of s.
func swapped(value []byte, unit int, s Syntax) []byte {
	if s != ExplicitBE || unit == 1 {
		return value
	}
	out := slices.Clone(value)
	for i := 0; i+unit <= len(out); i += unit {
		slices.Reverse(out[i : i+unit])
	}
	return out
}
