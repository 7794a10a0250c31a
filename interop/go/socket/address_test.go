package socket_test

import (
	"strings"
	"testing"

	"example.com/samehost/go/socket"
)

func TestParseAddress(t *testing.T) {
	longest := "/" + strings.Repeat("a", socket.MaxPathBytes-1)
	for text, path := range map[string]string{
		"/run/app.sock":        "/run/app.sock",
		"unix:/run/app.sock":   "/run/app.sock",
		"unix:///run/app.sock": "/run/app.sock",
		longest:                longest,
		"/run/ä b.sock":        "/run/ä b.sock",
	} {
		address, err := socket.ParseAddress(text)
		if err != nil || address.Path != path || address.String() != "unix:"+path {
			t.Errorf("ParseAddress(%q) = %q, %v; want %q", text, address, err, path)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, text := range []string{
		"", "unix:", "app.sock", "unix:app.sock", "unix://run/app.sock", "//run/app.sock", "unix-abstract:app",
		"/", "/run/", "/run/.", "/run/..", "/run/a%20.sock", "/run/a?.sock", "/run/a#.sock", "/run/a,b.sock",
		"/run/a\n.sock", "/run/\xff.sock", "/" + strings.Repeat("a", socket.MaxPathBytes),
	} {
		if address, err := socket.ParseAddress(text); err == nil {
			t.Errorf("ParseAddress(%q) = %q; want an error", text, address)
		}
	}
}
