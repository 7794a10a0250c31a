package socket_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/samehost/go/socket"
)

const patience = 10 * time.Second

var takeover = socket.Options{Mode: options.Mode, Group: options.Group, Owner: "test 2", Takeover: true}

func TestTakeover(t *testing.T) {
	address := newAddress(t)
	first := listen(t, address)
	publish(t, first)
	second, err := socket.Listen(address, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	publish(t, second)
	select {
	case <-first.TakenOver():
	case <-time.After(patience):
		t.Fatal("the first listener was not told that it is taken over")
	}
	if first.IsLost() {
		t.Error("the first listener takes the takeover for a removal")
	}
	first.Withdraw()
	first.Close()
	expectState(t, address, socket.Live)
	expectFolder(t, address, "s", "s.lock", "s.takeover")
	second.Withdraw()
	expectFolder(t, address, "s.lock")
}

func TestTakeoverOfNobody(t *testing.T) {
	address := newAddress(t)
	listener, err := socket.Listen(address, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	defer listener.Withdraw()
	publish(t, listener)
	expectState(t, address, socket.Live)
}

func TestTakeoverFails(t *testing.T) {
	for name, test := range map[string]struct {
		padding int // what the path is made up to, in bytes
		prepare func(*testing.T, socket.Address)
		reason  string
	}{
		"of one that does not listen for successors yet": {0, func(t *testing.T, address socket.Address) {
			listen(t, address)
		}, "nobody answers at"},
		"of one without room for a name": {socket.MaxPathBytes - len("takeover"), func(t *testing.T, address socket.Address) {
			publish(t, listen(t, address))
		}, "leaves no room"},
		"where another serves without a lock": {0, func(t *testing.T, address socket.Address) {
			stranger, err := net.Listen("unix", address.Path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stranger.Close() })
		}, "someone answers there"},
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			address.Path += strings.Repeat("s", max(0, test.padding-len(address.Path)))
			test.prepare(t, address)
			_, err := socket.Listen(address, takeover)
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error(), address.Path) {
				t.Errorf("Listen(%s): %v; want an error with %q and the path", address, err, test.reason)
			}
		})
	}
}

func TestResumesWhenItsSuccessorGivesUp(t *testing.T) {
	address := newAddress(t)
	publish(t, listen(t, address))
	successor, err := net.Dial("unix", address.Path+".takeover")
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(successor).ReadString('\n')
	if err != nil || line != `{"event":"released"}`+"\n" {
		t.Errorf("what the server says: %q, %v; want that its lock is released", line, err)
	}
	expectRefusal(t, address, "someone answers there without holding")
	successor.Close()
	expectRefusal(t, address, "test 1, process")
}

// expectRefusal tries until the reason is the wanted one: nobody tells when the lock is taken again.
func expectRefusal(t *testing.T, address socket.Address, reason string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err = socket.Listen(address, options); err != nil && strings.Contains(err.Error(), reason) {
			return
		}
	}
	t.Errorf("Listen(%s): %v; want an error with %q", address, err, reason)
}
