package snapshot

import (
	"encoding/hex"
	"fmt"
)

// UUID names an attachment and its file in the storage area.
type UUID [16]byte

// String returns the 36 characters that Orthanc uses: lower-case hexadecimal, in groups of 8-4-4-4-12.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// uuidDigits is where the digits of each byte stand in the text.
var uuidDigits = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// digits is the value of each lower-case hexadecimal digit, and noDigit for all other bytes.
var digits = func() (values [256]byte) {
	for i := range values {
		values[i] = noDigit
	}
	for value, digit := range []byte("0123456789abcdef") {
		values[digit] = byte(value)
	}
	return values
}()

const noDigit = 0xff

// ParseUUID reads what String writes and nothing else, so that the text may be used in a path.
func ParseUUID(s string) (u UUID, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, fmt.Errorf("not an attachment's UUID (%d characters)", len(s))
	}
	for i, at := range uuidDigits {
		high, low := digits[s[at]], digits[s[at+1]]
		if high|low == noDigit {
			return UUID{}, fmt.Errorf("not an attachment's UUID (other than lower-case hexadecimal)")
		}
		u[i] = high<<4 | low
	}
	return u, nil
}
