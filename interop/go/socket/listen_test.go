package socket_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/samehost/go/socket"
)

var options = socket.Options{Mode: 0o640, Group: -1, Owner: "test 1"}

func TestListenPublishesWithMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	address := newAddress(t)
	listener := listen(t, address)
	expectState(t, address, socket.Absent)
	publish(t, listener)
	expectState(t, address, socket.Live)
	found, err := os.Stat(address.Path)
	if err != nil || found.Mode().Perm() != options.Mode {
		t.Errorf("mode of %s: %v, %v; want %v", address.Path, found.Mode().Perm(), err, options.Mode)
	}
	expectFolder(t, address, "s", "s.lock", "s.takeover")
	listener.Withdraw()
	expectFolder(t, address, "s.lock")
}

func TestListenReplacesStale(t *testing.T) {
	address := newAddress(t)
	leaveStale(t, address)
	listener := listen(t, address)
	expectState(t, address, socket.Stale)
	publish(t, listener)
	expectState(t, address, socket.Live)
}

func TestListenClearsAwayWhatAKilledServerLeft(t *testing.T) {
	address := newAddress(t)
	folder := filepath.Dir(address.Path)
	// The beginning is that of "s", as PROTOCOL.md has it.
	left, theirs := filepath.Join(folder, ".043a718700000000"), filepath.Join(folder, ".043a718711111111")
	for private, mode := range map[string]fs.FileMode{left: 0o700, theirs: 0o755} {
		if err := os.Mkdir(private, mode); err != nil {
			t.Fatal(err)
		}
		leaveStale(t, socket.Address{Path: filepath.Join(private, "a")})
	}
	publish(t, listen(t, address))
	expectFolder(t, address, filepath.Base(theirs), "s", "s.lock", "s.takeover")
	expectState(t, socket.Address{Path: filepath.Join(theirs, "a")}, socket.Stale)
}

func TestListenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*testing.T, socket.Address)
		reason  string
	}{
		"a path with a server": {func(t *testing.T, address socket.Address) {
			publish(t, listen(t, address))
		}, "test 1, process"},
		"a path that is locked": {func(t *testing.T, address socket.Address) {
			listen(t, address)
		}, "test 1, process"},
		"a server without a lock": {func(t *testing.T, address socket.Address) {
			leaveMute(t, address)
		}, "someone answers there"},
		"a regular file": {func(t *testing.T, address socket.Address) {
			write(t, address.Path)
		}, "is not a socket"},
		"a lock file that is none": {func(t *testing.T, address socket.Address) {
			write(t, address.Path+".lock")
		}, "holds something else"},
		"a file where successors would dial": {func(t *testing.T, address socket.Address) {
			write(t, address.Path+".takeover")
		}, "is not a socket"},
		"a missing folder": {func(t *testing.T, address socket.Address) {
			if err := os.RemoveAll(filepath.Dir(address.Path)); err != nil {
				t.Fatal(err)
			}
		}, "no folder"},
		"a lock file that is a link": {func(t *testing.T, address socket.Address) {
			write(t, address.Path+"2")
			if err := os.Symlink(address.Path+"2", address.Path+".lock"); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		"a lock file with two names": {func(t *testing.T, address socket.Address) {
			write(t, address.Path+"2")
			if err := os.Link(address.Path+"2", address.Path+".lock"); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		"a lock file that is a FIFO": {func(t *testing.T, address socket.Address) {
			if err := syscall.Mkfifo(address.Path+".lock", 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		"a folder that everyone may write to": {func(t *testing.T, address socket.Address) {
			chmod(t, filepath.Dir(address.Path), 0o777)
		}, "chmod o-w"},
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			test.prepare(t, address)
			before, _ := os.Lstat(address.Path)
			_, err := socket.Listen(t.Context(), address, options)
			if err == nil || !strings.Contains(err.Error(), test.reason) || !strings.Contains(err.Error(), address.Path) {
				t.Errorf("Listen(%s): %v; want an error with %q and the path", address, err, test.reason)
			}
			if after, _ := os.Lstat(address.Path); before != nil && !os.SameFile(before, after) {
				t.Errorf("%s: another file is there than before", address.Path)
			}
		})
	}
}

func TestListenInAFolderThatEveryoneMayWriteTo(t *testing.T) {
	for name, test := range map[string]struct {
		mode    fs.FileMode
		trusted bool
	}{
		"sticky":  {0o777 | fs.ModeSticky, false},
		"trusted": {0o777, true},
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			chmod(t, filepath.Dir(address.Path), test.mode)
			trusting := options
			trusting.TrustFolder = test.trusted
			listener, err := socket.Listen(t.Context(), address, trusting)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			defer listener.Withdraw()
			publish(t, listener)
			expectState(t, address, socket.Live)
		})
	}
}

func TestListenKeepsOthersFromTheLock(t *testing.T) {
	address := newAddress(t)
	lock := address.Path + ".lock"
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, lock, 0o666)
	listen(t, address)
	if found, err := os.Stat(lock); err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("mode of %s: %v, %v; want 0600", lock, found.Mode(), err)
	}
}

func TestPublishRefusesToReplaceWhatIsNew(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, socket.Address){
		"absent": func(*testing.T, socket.Address) {},
		"stale":  leaveStale,
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			prepare(t, address)
			listener := listen(t, address)
			os.Remove(address.Path)
			write(t, address.Path)
			if err := listener.Publish(); err == nil || !strings.Contains(err.Error(), address.Path) {
				t.Errorf("Publish: %v; want an error with the path", err)
			}
			expectState(t, address, socket.NotASocket)
			listener.Withdraw()
			expectFolder(t, address, "s", "s.lock")
		})
	}
}

// Whoever puts another folder in the place of the private one must not make the server change what is in it.
func TestPublishKeepsToItsPrivateFolder(t *testing.T) {
	address := newAddress(t)
	folder, victim := filepath.Dir(address.Path), newAddress(t)
	leaveStale(t, victim)
	listener := listen(t, address)
	private, err := filepath.Glob(filepath.Join(folder, ".*"))
	if err != nil || len(private) != 1 {
		t.Fatalf("private folders: %q, %v; want one", private, err)
	}
	if err := os.Rename(private[0], filepath.Join(folder, "was")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(victim.Path), private[0]); err != nil {
		t.Fatal(err)
	}
	publish(t, listener)
	expectState(t, address, socket.Live)
	expectFolder(t, victim, "s")
}

func TestListenIsCalledOff(t *testing.T) {
	address := newAddress(t)
	listen(t, address)
	leaveMute(t, socket.Address{Path: address.Path + ".takeover"})
	called, off := context.WithCancel(t.Context())
	off()
	if _, err := socket.Listen(called, address, takeover); !errors.Is(err, context.Canceled) {
		t.Errorf("Listen: %v; want %v", err, context.Canceled)
	}
}

func TestWithdrawLeavesAnothersSocket(t *testing.T) {
	address := newAddress(t)
	listener := listen(t, address)
	publish(t, listener)
	if err := os.Remove(address.Path); err != nil {
		t.Fatal(err)
	}
	leaveStale(t, address)
	listener.Withdraw()
	expectState(t, address, socket.Stale)
}

func TestWithdrawLetsASuccessorStart(t *testing.T) {
	address := newAddress(t)
	first := listen(t, address)
	publish(t, first)
	first.Withdraw()
	second := listen(t, address)
	publish(t, second)
	first.Withdraw()
	expectState(t, address, socket.Live)
}

func TestHangUpOnSilentSparesThoseThatSpoke(t *testing.T) {
	address := newAddress(t)
	listener := listen(t, address)
	publish(t, listener)
	silent, _ := connect(t, address, listener)
	speaking, accepted := connect(t, address, listener)
	if _, err := speaking.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	listener.HangUpOnSilent()
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a silent connection: %v; want %v", err, io.EOF)
	}
	if _, err := accepted.Write([]byte("b")); err != nil {
		t.Errorf("a connection that spoke: %v; want no error", err)
	}
}

func TestNamesThePathAndNotWhatWasBound(t *testing.T) {
	address := newAddress(t)
	listener := listen(t, address)
	publish(t, listener)
	_, accepted := connect(t, address, listener)
	for _, named := range []net.Addr{listener.Addr(), accepted.LocalAddr()} {
		if named.String() != address.Path {
			t.Errorf("address: %s; want %s", named, address.Path)
		}
	}
	listener.Close()
	if _, err := listener.Accept(); err == nil || !strings.Contains(err.Error(), address.Path) {
		t.Errorf("Accept: %v; want an error with %s", err, address.Path)
	}
}

func connect(t *testing.T, address socket.Address, listener net.Listener) (dialled, accepted net.Conn) {
	t.Helper()
	dialled, err := net.Dial("unix", address.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialled, accepted
}

// newAddress is one in a folder of its own, with a short name; that of t.TempDir has the test's name in it.
func newAddress(t *testing.T) socket.Address {
	t.Helper()
	folder, err := os.MkdirTemp("", "socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return socket.Address{Path: filepath.Join(folder, "s")}
}

func listen(t *testing.T, address socket.Address) *socket.Listener {
	t.Helper()
	listener, err := socket.Listen(t.Context(), address, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Withdraw()
		listener.Close()
	})
	return listener
}

func publish(t *testing.T, listener *socket.Listener) {
	t.Helper()
	if err := listener.Publish(); err != nil {
		t.Fatal(err)
	}
}

func leaveStale(t *testing.T, address socket.Address) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: address.Path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
}

// leaveMute listens and says nothing.
func leaveMute(t *testing.T, address socket.Address) {
	t.Helper()
	listener, err := net.Listen("unix", address.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func expectState(t *testing.T, address socket.Address, want socket.State) {
	t.Helper()
	if got, err := socket.Probe(address); err != nil || got != want {
		t.Errorf("Probe(%s) = %v, %v; want %v", address, got, err, want)
	}
}

func expectFolder(t *testing.T, address socket.Address, want ...string) {
	t.Helper()
	if got := names(address); got != strings.Join(want, " ") {
		t.Errorf("what is in the folder: %q; want %q", got, want)
	}
}

func names(address socket.Address) string {
	entries, _ := fs.ReadDir(os.DirFS(filepath.Dir(address.Path)), ".")
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}
