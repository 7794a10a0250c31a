package samehost

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	longest := "/" + strings.Repeat("a", maxPathBytes-1)
	for text, path := range map[string]string{
		"/run/app.sock":        "/run/app.sock",
		"unix:/run/app.sock":   "/run/app.sock",
		"unix:///run/app.sock": "/run/app.sock",
		longest:                longest,
		"/run/ä b.sock":        "/run/ä b.sock",
	} {
		got, err := ParseAddress(text)
		if err != nil || got != path {
			t.Errorf("ParseAddress(%q) = %q, %v; want %q", text, got, err, path)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, text := range []string{
		"", "unix:", "app.sock", "unix:app.sock", "unix://run/app.sock", "//run/app.sock", "unix-abstract:app",
		"/", "/run/", "/run/.", "/run/..", "/run/a%20.sock", "/run/a?.sock", "/run/a#.sock", "/run/a,b.sock",
		"/run/a\n.sock", "/run/\xff.sock", "/" + strings.Repeat("a", maxPathBytes),
	} {
		if path, err := ParseAddress(text); !errors.Is(err, ErrAddress) {
			t.Errorf("ParseAddress(%q) = %q, %v; want %v", text, path, err, ErrAddress)
		}
	}
}
