package orthanc

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
)

// reader takes typed values from a configuration and keeps the first error. A value of another type is an error, as it
// is for Orthanc: "8042" is no port.
type reader struct {
	c   *Configuration
	err error
}

func get[T any](r *reader, key, kind string, fallback T) T {
	raw := r.c.sections[key]
	if raw == nil {
		return fallback
	}
	var value *T
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		if r.err == nil {
			r.err = fmt.Errorf("%s is not %s", key, kind)
		}
		return fallback
	}
	return *value
}

func (r *reader) text(key, fallback string) string    { return get(r, key, "a text", fallback) }
func (r *reader) number(key string, fallback int) int { return get(r, key, "an integer", fallback) }
func (r *reader) boolean(key string, fallback bool) bool {
	return get(r, key, "true or false", fallback)
}

// HTTP says how to reach Orthanc's REST API from the same machine. It holds a password: String, which fmt uses, does
// not show it.
type HTTP struct {
	Enabled bool
	Address string // host:port, the loopback address unless Orthanc is bound to others only
	TLS     bool   // HTTPS, usually with a certificate for another name than the loopback address

	// ClientCertificate: Orthanc asks for one (SslVerifyPeers), so that requests from here are refused.
	ClientCertificate bool

	user, password string
}

// String returns the URL.
func (h HTTP) String() string { return h.URL("") }

// GoString returns the URL.
func (h HTTP) GoString() string { return h.URL("") }

// URL returns the URL of a path, which starts with a slash.
func (h HTTP) URL(path string) string {
	if h.TLS {
		return "https://" + h.Address + path
	}
	return "http://" + h.Address + path
}

// Authorize adds the credentials of the first registered user, if the server wants any.
func (h HTTP) Authorize(request *http.Request) {
	if h.user != "" {
		request.SetBasicAuth(h.user, h.password)
	}
}

// http takes the settings of the REST API.
func (r *reader) http() HTTP {
	h := HTTP{
		Enabled:           r.boolean("HttpServerEnabled", true),
		TLS:               r.boolean("SslEnabled", false),
		ClientCertificate: r.boolean("SslVerifyPeers", false),
	}
	host := "127.0.0.1"
	if bound := get(r, "HttpBindAddresses", "a list of texts", []string(nil)); len(bound) > 0 &&
		!slices.Contains(bound, host) && !slices.Contains(bound, "0.0.0.0") {
		host = bound[0]
	}
	h.Address = net.JoinHostPort(host, strconv.Itoa(r.number("HttpPort", 8042)))

	// Authentication is on by default where other machines may connect.
	if !r.boolean("AuthenticationEnabled", r.boolean("RemoteAccessAllowed", false)) {
		return h
	}
	users := get(r, "RegisteredUsers", "an object of texts", map[string]string(nil))
	for _, user := range slices.Sorted(maps.Keys(users)) {
		h.user, h.password = user, users[user]
		return h
	}
	if !r.c.Has("RegisteredUsers") {
		h.user, h.password = "orthanc", "orthanc" // the default user, until Orthanc 1.13
	}
	return h
}
