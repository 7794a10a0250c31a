package socket_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
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
	second, err := socket.Listen(t.Context(), address, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	publish(t, second)
	expectClosed(t, first.TakenOver(), "the first listener is told that it is taken over")
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
	listener, err := socket.Listen(t.Context(), address, takeover)
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
		"of a stranger that holds no lock": {0, func(t *testing.T, address socket.Address) {
			leaveMute(t, address)
		}, "nobody answers at"},
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			address.Path += strings.Repeat("s", max(0, test.padding-len(address.Path)))
			test.prepare(t, address)
			_, err := socket.Listen(t.Context(), address, takeover)
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error(), address.Path) {
				t.Errorf("Listen(%s): %v; want an error with %q and the path", address, err, test.reason)
			}
		})
	}
}

func TestTakeoverWithoutALockFile(t *testing.T) {
	address := newAddress(t)
	first := listen(t, address)
	publish(t, first)
	if err := os.Remove(address.Path + ".lock"); err != nil {
		t.Fatal(err)
	}
	second, err := socket.Listen(t.Context(), address, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	defer second.Withdraw()
	publish(t, second)
	expectClosed(t, first.TakenOver(), "the first listener is told that it is taken over")
}

func TestTakesItsNamesBackFromASuccessorThatDied(t *testing.T) {
	for name, taken := range map[string][]string{
		"with no name":                 {},
		"with the name for successors": {".takeover"},
		"with both names":              {".takeover", ""},
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			listener := listen(t, address)
			publish(t, listener)
			successor := dialSuccessor(t, address)
			for _, name := range taken {
				os.Remove(address.Path + name)
				leaveStale(t, socket.Address{Path: address.Path + name})
			}
			successor.Close()
			expectLocked(t, address)
			if listener.IsLost() { // which waits until the names are there again
				t.Error("the listener takes what its successor did for a removal")
			}
			expectFolder(t, address, "s", "s.lock", "s.takeover")
			expectState(t, address, socket.Live)
			expectState(t, socket.Address{Path: address.Path + ".takeover"}, socket.Live)
		})
	}
}

func TestHangsUpOnWhoeverSaysRubbish(t *testing.T) {
	address := newAddress(t)
	publish(t, listen(t, address))
	for _, rubbish := range []string{"{}\n", "\xff\n", strings.Repeat("[", 4000) + "\n", strings.Repeat("x", 10_000)} {
		successor := dialSuccessor(t, address)
		if _, err := io.WriteString(successor, rubbish); err != nil {
			t.Fatal(err)
		}
		expectLocked(t, address)
	}
}

func TestHangsUpOnASilentSuccessor(t *testing.T) {
	t.Parallel()
	address := newAddress(t)
	publish(t, listen(t, address))
	dialSuccessor(t, address)
	expectLocked(t, address)
}

func TestWithdrawDuringATakeover(t *testing.T) {
	address := newAddress(t)
	listener := listen(t, address)
	publish(t, listener)
	dialSuccessor(t, address)
	listener.Withdraw()
	expectFolder(t, address, "s.lock")
}

func TestResumesWhenItsSuccessorGivesUp(t *testing.T) {
	address := newAddress(t)
	publish(t, listen(t, address))
	successor := dialSuccessor(t, address)
	expectRefusal(t, address, "someone answers there without holding")
	successor.Close()
	expectRefusal(t, address, "test 1, process")
}

// dialSuccessor dials as a successor does, until the lock is released.
func dialSuccessor(t *testing.T, address socket.Address) net.Conn {
	t.Helper()
	successor, err := net.Dial("unix", address.Path+".takeover")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { successor.Close() })
	line, err := bufio.NewReader(successor).ReadString('\n')
	if err != nil || line != `{"event":"released"}`+"\n" {
		t.Errorf("what the server says: %q, %v; want that its lock is released", line, err)
	}
	return successor
}

func expectClosed(t *testing.T, channel <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-channel:
	case <-time.After(patience):
		t.Fatalf("waited %s until %s", patience, what)
	}
}

// expectLocked waits until the lock is taken again. It does not start a server, which would replace a stale socket.
func expectLocked(t *testing.T, address socket.Address) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		file, err := os.Open(address.Path + ".lock")
		if err != nil {
			t.Fatal(err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		file.Close()
		if err != nil {
			return
		}
	}
	t.Errorf("the lock of %s is not taken again", address.Path)
}

// expectRefusal tries until the reason is the wanted one: nobody tells when the lock is taken again.
func expectRefusal(t *testing.T, address socket.Address, reason string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err = socket.Listen(t.Context(), address, options); err != nil && strings.Contains(err.Error(), reason) {
			return
		}
	}
	t.Errorf("Listen(%s): %v; want an error with %q", address, err, reason)
}
