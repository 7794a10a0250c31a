package samehost

import (
	"errors"
	"strings"
	"testing"
)

func TestDiagnose(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*testing.T, string)
		kind    error
	}{
		"absent":       {func(*testing.T, string) {}, ErrNoServer},
		"stale":        {leaveStale, ErrNoServer},
		"not a socket": {write, ErrNotSocket},
		"silent":       {listenSilently, ErrNotGRPC},
	} {
		t.Run(name, func(t *testing.T) {
			path := newAddress(t)
			test.prepare(t, path)
			err := Diagnose("unix:" + path)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), path) {
				t.Errorf("Diagnose(%s) = %v; want an error that is %q and names the path", path, err, test.kind)
			}
		})
	}
}
