package socket_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/samehost/go/socket"
)

func TestRemoved(t *testing.T) {
	for name, replace := range map[string]func(*testing.T, socket.Address){
		"removed": remove,
		"replaced": func(t *testing.T, address socket.Address) {
			remove(t, address)
			leaveStale(t, address)
		},
		"moved away with its folder": func(t *testing.T, address socket.Address) {
			folder := filepath.Dir(address.Path)
			if err := os.Rename(folder, filepath.Join(t.TempDir(), "was")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := newAddress(t)
			listener := listen(t, address)
			publish(t, listener)
			if listener.IsLost() {
				t.Errorf("%s is lost before anyone has removed it", address.Path)
			}
			replace(t, address)
			select {
			case <-listener.Removed():
			case <-time.After(patience):
				t.Error("the listener does not notice that its file is removed")
			}
		})
	}
}

func remove(t *testing.T, address socket.Address) {
	t.Helper()
	if err := os.Remove(address.Path); err != nil {
		t.Fatal(err)
	}
}
