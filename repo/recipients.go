package repo

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"filippo.io/age"
)

// Recipient is one who can read the repository.
type Recipient struct {
	Name string `json:"name"`
	Key  string `json:"key"` // age1pq1…
}

type recipientList struct {
	Version    int         `json:"version"`
	Recipients []Recipient `json:"recipients"`
	MAC        string      `json:"mac"`
}

func recipientsMAC(d *derived, repository string, n int, list []Recipient) string {
	msg := append([]byte(repository), 0)
	msg = append(strconv.AppendInt(msg, int64(n), 10), 0)
	for _, r := range list {
		msg = append(append(msg, r.Name...), 0)
		msg = append(append(msg, r.Key...), 0)
	}
	sum := keyed(d.recipients, msg)
	return hex.EncodeToString(sum[:])
}

func marshalRecipients(d *derived, repository string, n int, list []Recipient) []byte {
	b, err := json.MarshalIndent(recipientList{1, list, recipientsMAC(d, repository, n, list)}, "", "  ")
	if err != nil {
		panic("repo: " + err.Error()) // strings
	}
	return append(b, '\n')
}

// parseRecipients reads list number n and verifies that a holder of the writer key made it.
func parseRecipients(d *derived, repository, name string, n int, b []byte) ([]Recipient, error) {
	var f recipientList
	if err := UnmarshalJSON(b, &f, maxValues); err != nil {
		return nil, corrupt(name, "not a list of recipients")
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("%s: version %d: %w", name, f.Version, ErrUnsupported)
	}
	want := recipientsMAC(d, repository, n, f.Recipients)
	if subtle.ConstantTimeCompare([]byte(want), []byte(f.MAC)) != 1 || len(f.Recipients) == 0 {
		return nil, corrupt(name, "not made with this repository's writer key")
	}
	return f.Recipients, nil
}

func ageRecipients(list []Recipient) ([]age.Recipient, error) {
	out := make([]age.Recipient, 0, len(list))
	for _, r := range list {
		a, err := age.ParseHybridRecipient(r.Key)
		if err != nil {
			return nil, fmt.Errorf("recipient %q: %w", r.Name, err)
		}
		out = append(out, a)
	}
	return out, nil
}
