package samehost

import (
	"bufio"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second

var takeover = Options{Mode: options.Mode, Owner: "test 2", TakeOver: true}

func TestTakeover(t *testing.T) {
	path := newAddress(t)
	first := bind(t, path)
	publish(t, first)
	second, err := prepare(t.Context(), path, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	publish(t, second)
	expectClosed(t, first.TakenOver(), "the first listener is told that it is taken over")
	if isLost(first) {
		t.Error("the first listener takes the takeover for a removal")
	}
	first.withdraw()
	first.Close()
	expectState(t, path, live)
	expectFolder(t, path, "s", "s.lock", "s.takeover")
	second.withdraw()
	expectFolder(t, path, "s.lock")
}

func TestTakeoverOfNobody(t *testing.T) {
	path := newAddress(t)
	listener, err := prepare(t.Context(), path, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	defer listener.withdraw()
	publish(t, listener)
	expectState(t, path, live)
}

func TestTakeoverFails(t *testing.T) {
	for name, test := range map[string]struct {
		padding int // what the path is made up to, in bytes
		prepare func(*testing.T, string)
		reason  string
	}{
		"of one that does not listen for successors yet": {0, func(t *testing.T, path string) {
			bind(t, path)
		}, "nobody answers at"},
		"of one without room for a name": {maxPathBytes - len("takeover"), func(t *testing.T, path string) {
			publish(t, bind(t, path))
		}, "leaves no room"},
		"of a stranger that holds no lock": {0, func(t *testing.T, path string) {
			leaveMute(t, path)
		}, "nobody answers at"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newAddress(t)
			path += strings.Repeat("s", max(0, test.padding-len(path)))
			test.prepare(t, path)
			_, err := prepare(t.Context(), path, takeover)
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error(), path) {
				t.Errorf("prepare(%s): %v; want an error with %q and the path", path, err, test.reason)
			}
		})
	}
}

func TestTakeoverWithoutALockFile(t *testing.T) {
	path := newAddress(t)
	first := bind(t, path)
	publish(t, first)
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	second, err := prepare(t.Context(), path, takeover)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	defer second.withdraw()
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
			path := newAddress(t)
			listener := bind(t, path)
			publish(t, listener)
			successor := dialSuccessor(t, path)
			for _, name := range taken {
				os.Remove(path + name)
				leaveStale(t, path+name)
			}
			successor.Close()
			expectLocked(t, path)
			if isLost(listener) { // which waits until the names are there again
				t.Error("the listener takes what its successor did for a removal")
			}
			expectFolder(t, path, "s", "s.lock", "s.takeover")
			expectState(t, path, live)
			expectState(t, path+".takeover", live)
		})
	}
}

func TestHangsUpOnWhoeverSaysRubbish(t *testing.T) {
	path := newAddress(t)
	publish(t, bind(t, path))
	for _, rubbish := range []string{"{}\n", "\xff\n", strings.Repeat("[", 4000) + "\n", strings.Repeat("x", 10_000)} {
		successor := dialSuccessor(t, path)
		if _, err := io.WriteString(successor, rubbish); err != nil {
			t.Fatal(err)
		}
		expectLocked(t, path)
	}
}

func TestHangsUpOnASilentSuccessor(t *testing.T) {
	t.Parallel()
	path := newAddress(t)
	publish(t, bind(t, path))
	dialSuccessor(t, path)
	expectLocked(t, path)
}

func TestWithdrawDuringATakeover(t *testing.T) {
	path := newAddress(t)
	listener := bind(t, path)
	publish(t, listener)
	dialSuccessor(t, path)
	listener.withdraw()
	expectFolder(t, path, "s.lock")
}

func TestResumesWhenItsSuccessorGivesUp(t *testing.T) {
	path := newAddress(t)
	publish(t, bind(t, path))
	successor := dialSuccessor(t, path)
	expectRefusal(t, path, "someone answers there without holding")
	successor.Close()
	expectRefusal(t, path, "test 1, process")
}

// dialSuccessor dials as a successor does, until the lock is released.
func dialSuccessor(t *testing.T, path string) net.Conn {
	t.Helper()
	successor, err := net.Dial("unix", path+".takeover")
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
func expectLocked(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		file, err := os.Open(path + ".lock")
		if err != nil {
			t.Fatal(err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		file.Close()
		if err != nil {
			return
		}
	}
	t.Errorf("the lock of %s is not taken again", path)
}

// expectRefusal tries until the reason is the wanted one: nobody tells when the lock is taken again.
func expectRefusal(t *testing.T, path string, reason string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err = prepare(t.Context(), path, options); err != nil && strings.Contains(err.Error(), reason) {
			return
		}
	}
	t.Errorf("prepare(%s): %v; want an error with %q", path, err, reason)
}
