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
	expectClosed(t, first.TakenOver(), "the first listener is taken over")
	if isLost(first) {
		t.Error("the first listener reports the takeover as a removal")
	}
	first.withdraw()
	first.Close()
	expectState(t, path, live)
	expectFolder(t, path, "s", "s.lock", "s.takeover")
	second.withdraw()
	expectFolder(t, path, "s.lock")
}

func TestTakeoverWithoutARunningServer(t *testing.T) {
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
		length  int // the least length of the path, in bytes
		prepare func(*testing.T, string)
		reason  string
	}{
		"of a server that has not published": {0, func(t *testing.T, path string) {
			bind(t, path)
		}, "no server listens on"},
		"of a path without room for .takeover": {maxPathBytes - len("takeover"), func(t *testing.T, path string) {
			publish(t, bind(t, path))
		}, "leaves no room"},
		"of another program without a lock": {0, func(t *testing.T, path string) {
			listenSilently(t, path)
		}, "no server listens on"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newAddress(t)
			path += strings.Repeat("s", max(0, test.length-len(path)))
			test.prepare(t, path)
			_, err := prepare(t.Context(), path, takeover)
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error(), path) {
				t.Errorf("prepare(%s) = %v; want an error with %q and the path", path, err, test.reason)
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
	expectClosed(t, first.TakenOver(), "the listener without a lock file is taken over")
}

func TestRestoresItsNamesWhenASuccessorDies(t *testing.T) {
	for name, taken := range map[string][]string{
		"before it took a name":                {},
		"after it took .takeover":              {".takeover"},
		"after it took .takeover and the path": {".takeover", ""},
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
			if isLost(listener) { // waits until the names are restored
				t.Error("the listener reports the changes of its successor as a removal")
			}
			expectFolder(t, path, "s", "s.lock", "s.takeover")
			expectState(t, path, live)
			expectState(t, path+".takeover", live)
		})
	}
}

func TestResumesAfterAnInvalidMessage(t *testing.T) {
	path := newAddress(t)
	publish(t, bind(t, path))
	for _, invalid := range []string{"{}\n", "\xff\n", strings.Repeat("[", 4000) + "\n", strings.Repeat("x", 10_000)} {
		successor := dialSuccessor(t, path)
		if _, err := io.WriteString(successor, invalid); err != nil {
			t.Fatal(err)
		}
		expectLocked(t, path)
	}
}

func TestResumesWhenItsSuccessorIsSilent(t *testing.T) {
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

func TestResumesWhenItsSuccessorDisconnects(t *testing.T) {
	path := newAddress(t)
	publish(t, bind(t, path))
	successor := dialSuccessor(t, path)
	expectRefusal(t, path, "does not hold")
	successor.Close()
	expectRefusal(t, path, "test 1, process")
}

// dialSuccessor connects like a successor and waits until the server releases the lock.
func dialSuccessor(t *testing.T, path string) net.Conn {
	t.Helper()
	successor, err := net.Dial("unix", path+".takeover")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { successor.Close() })
	line, err := bufio.NewReader(successor).ReadString('\n')
	if err != nil || line != `{"event":"released"}`+"\n" {
		t.Errorf("message of the server: %q, %v; want released", line, err)
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

// expectLocked waits until the server has taken the lock again. Starting a second server instead would replace a stale
// socket.
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
	t.Errorf("the server did not take the lock of %s again", path)
}

// expectRefusal retries until the error has the reason, because nothing reports when the server takes the lock again.
func expectRefusal(t *testing.T, path string, reason string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err = prepare(t.Context(), path, options); err != nil && strings.Contains(err.Error(), reason) {
			return
		}
	}
	t.Errorf("prepare(%s) = %v; want an error with %q", path, err, reason)
}
