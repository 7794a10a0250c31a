package socket_test

import (
	"os"
	"testing"
	"time"

	"example.com/samehost/go/socket"
)

func TestRemoved(t *testing.T) {
	for name, replace := range map[string]func(*testing.T, socket.Address){
		"removed":  func(*testing.T, socket.Address) {},
		"replaced": leaveStale,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := newAddress(t)
			listener := listen(t, address)
			publish(t, listener)
			if listener.IsLost() {
				t.Errorf("%s is lost before anyone has removed it", address.Path)
			}
			if err := os.Remove(address.Path); err != nil {
				t.Fatal(err)
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
