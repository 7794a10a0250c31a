package samehost

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRemoved(t *testing.T) {
	for name, replace := range map[string]func(*testing.T, string){
		"removed": remove,
		"replaced": func(t *testing.T, path string) {
			remove(t, path)
			leaveStale(t, path)
		},
		"moved away with its folder": func(t *testing.T, path string) {
			folder := filepath.Dir(path)
			if err := os.Rename(folder, filepath.Join(t.TempDir(), "was")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newAddress(t)
			listener := bind(t, path)
			publish(t, listener)
			if isLost(listener) {
				t.Errorf("%s is reported as lost before its removal", path)
			}
			replace(t, path)
			select {
			case <-listener.Removed():
			case <-time.After(patience):
				t.Error("the listener does not report the removal")
			}
		})
	}
}

// isLost calls the check of the timer without waiting for the timer.
func isLost(listener *Listener) bool {
	listener.changing.Lock()
	defer listener.changing.Unlock()
	return listener.isLost()
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
