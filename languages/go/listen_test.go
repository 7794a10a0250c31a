package samehost

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
)

var options = Options{Mode: 0o640, Owner: "test 1", AllowTakeover: true}

func TestListenPublishesWithMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := newAddress(t)
	listener := bind(t, path)
	expectState(t, path, absent)
	publish(t, listener)
	expectState(t, path, live)
	found, err := os.Stat(path)
	if err != nil || found.Mode().Perm() != options.Mode {
		t.Errorf("mode of %s: %v, %v; want %v", path, found.Mode().Perm(), err, options.Mode)
	}
	expectFolder(t, path, "s", "s.lock", "s.takeover")
	listener.withdraw()
	expectFolder(t, path, "s.lock")
}

func TestListenByDefault(t *testing.T) {
	path := newAddress(t)
	listener, err := Listen(t.Context(), "unix:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := os.Stat(path); err != nil || found.Mode().Perm() != 0o660 {
		t.Errorf("mode of %s: %v, %v; want 0660", path, found.Mode().Perm(), err)
	}
	expectFolder(t, path, "s", "s.lock")
	listener.Close()
	expectFolder(t, path, "s.lock")
}

func TestListenReplacesStale(t *testing.T) {
	path := newAddress(t)
	leaveStale(t, path)
	listener := bind(t, path)
	expectState(t, path, stale)
	publish(t, listener)
	expectState(t, path, live)
}

func TestListenRemovesPrivateFoldersOfKilledServers(t *testing.T) {
	path := newAddress(t)
	folder := filepath.Dir(path)
	// PROTOCOL.md defines the prefix for the file name "s".
	left, foreign := filepath.Join(folder, ".043a718700000000"), filepath.Join(folder, ".043a718711111111")
	for private, mode := range map[string]fs.FileMode{left: 0o700, foreign: 0o755} {
		if err := os.Mkdir(private, mode); err != nil {
			t.Fatal(err)
		}
		leaveStale(t, filepath.Join(private, "a"))
	}
	publish(t, bind(t, path))
	expectFolder(t, path, filepath.Base(foreign), "s", "s.lock", "s.takeover")
	expectState(t, filepath.Join(foreign, "a"), stale)
}

func TestListenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*testing.T, string)
		want    error
	}{
		"a path with a server": {func(t *testing.T, path string) {
			publish(t, bind(t, path))
		}, ErrInUse},
		"a path that is locked": {func(t *testing.T, path string) {
			bind(t, path)
		}, ErrInUse},
		"a server without a lock": {func(t *testing.T, path string) {
			listenSilently(t, path)
		}, ErrInUse},
		"a regular file": {func(t *testing.T, path string) {
			write(t, path)
		}, ErrNotSocket},
		"a lock file with other data": {func(t *testing.T, path string) {
			write(t, path+".lock")
		}, ErrLockFile},
		"a file at the path for successors": {func(t *testing.T, path string) {
			write(t, path+".takeover")
		}, ErrNotSocket},
		"a missing folder": {func(t *testing.T, path string) {
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrNotExist},
		"a lock file that is a link": {func(t *testing.T, path string) {
			write(t, path+"2")
			if err := os.Symlink(path+"2", path+".lock"); err != nil {
				t.Fatal(err)
			}
		}, ErrLockFile},
		"a lock file with two names": {func(t *testing.T, path string) {
			write(t, path+"2")
			if err := os.Link(path+"2", path+".lock"); err != nil {
				t.Fatal(err)
			}
		}, ErrLockFile},
		"a lock file that is a FIFO": {func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path+".lock", 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrLockFile},
		"a folder that every user may write to": {func(t *testing.T, path string) {
			chmod(t, filepath.Dir(path), 0o777)
		}, ErrUnsafeFolder},
	} {
		t.Run(name, func(t *testing.T) {
			path := newAddress(t)
			test.prepare(t, path)
			before, _ := os.Lstat(path)
			_, err := prepare(t.Context(), path, options)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("prepare(%s) = %v; want an error that is %q and names the path", path, err, test.want)
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Errorf("the file at %s was replaced", path)
			}
		})
	}
}

func TestListenInASharedFolder(t *testing.T) {
	for name, test := range map[string]struct {
		mode    fs.FileMode
		trusted bool
	}{
		"sticky":  {0o777 | fs.ModeSticky, false},
		"trusted": {0o777, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := newAddress(t)
			chmod(t, filepath.Dir(path), test.mode)
			trusting := options
			trusting.TrustFolder = test.trusted
			listener, err := prepare(t.Context(), path, trusting)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			defer listener.withdraw()
			publish(t, listener)
			expectState(t, path, live)
		})
	}
}

func TestListenRestrictsTheModeOfTheLockFile(t *testing.T) {
	path := newAddress(t)
	lock := path + ".lock"
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, lock, 0o666)
	bind(t, path)
	if found, err := os.Stat(lock); err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("mode of %s: %v, %v; want 0600", lock, found.Mode(), err)
	}
}

func TestPublishRefusesToReplaceANewFile(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, string){
		"absent": func(*testing.T, string) {},
		"stale":  leaveStale,
	} {
		t.Run(name, func(t *testing.T) {
			path := newAddress(t)
			prepare(t, path)
			listener := bind(t, path)
			os.Remove(path)
			write(t, path)
			if err := listener.publish(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("publish() = %v; want an error that names the path", err)
			}
			expectState(t, path, notASocket)
			listener.withdraw()
			expectFolder(t, path, "s", "s.lock")
		})
	}
}

// If someone replaces the private folder, the server must not change the files in the replacement.
func TestPublishUsesThePrivateFolderThatItOpened(t *testing.T) {
	path := newAddress(t)
	folder, victim := filepath.Dir(path), newAddress(t)
	leaveStale(t, victim)
	listener := bind(t, path)
	private, err := filepath.Glob(filepath.Join(folder, ".*"))
	if err != nil || len(private) != 1 {
		t.Fatalf("private folders: %q, %v; want one", private, err)
	}
	if err := os.Rename(private[0], filepath.Join(folder, "was")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(victim), private[0]); err != nil {
		t.Fatal(err)
	}
	publish(t, listener)
	expectState(t, path, live)
	expectFolder(t, victim, "s")
}

func TestListenIsCanceled(t *testing.T) {
	path := newAddress(t)
	bind(t, path)
	listenSilently(t, path+".takeover")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := prepare(ctx, path, takeover); !errors.Is(err, context.Canceled) {
		t.Errorf("prepare() = %v; want %v", err, context.Canceled)
	}
}

func TestWithdrawKeepsTheSocketOfAnotherServer(t *testing.T) {
	path := newAddress(t)
	listener := bind(t, path)
	publish(t, listener)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	leaveStale(t, path)
	listener.withdraw()
	expectState(t, path, stale)
}

func TestWithdrawLetsASuccessorStart(t *testing.T) {
	path := newAddress(t)
	first := bind(t, path)
	publish(t, first)
	first.withdraw()
	second := bind(t, path)
	publish(t, second)
	first.withdraw()
	expectState(t, path, live)
}

func TestCloseSilentKeepsConnectionsThatSentSomething(t *testing.T) {
	path := newAddress(t)
	listener := bind(t, path)
	publish(t, listener)
	silent, _ := connect(t, path, listener)
	sender, accepted := connect(t, path, listener)
	if _, err := sender.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	listener.closeSilent()
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read on a silent connection: %v; want %v", err, io.EOF)
	}
	if _, err := accepted.Write([]byte("b")); err != nil {
		t.Errorf("Write on a connection that sent something: %v; want no error", err)
	}
}

func TestNamesThePathAndNotThePrivateName(t *testing.T) {
	path := newAddress(t)
	listener := bind(t, path)
	publish(t, listener)
	_, accepted := connect(t, path, listener)
	for _, named := range []net.Addr{listener.Addr(), accepted.LocalAddr()} {
		if named.String() != path {
			t.Errorf("address: %s; want %s", named, path)
		}
	}
	listener.Close()
	if _, err := listener.Accept(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Accept() = %v; want an error that names %s", err, path)
	}
}

func connect(t *testing.T, path string, listener net.Listener) (dialed, accepted net.Conn) {
	t.Helper()
	dialed, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	accepted, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialed, accepted
}

// newAddress returns a path in a new folder with a short name. The name of t.TempDir contains the name of the test.
func newAddress(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return filepath.Join(folder, "s")
}

func bind(t *testing.T, path string) *Listener {
	t.Helper()
	listener, err := prepare(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.withdraw()
		listener.Close()
	})
	return listener
}

func publish(t *testing.T, listener *Listener) {
	t.Helper()
	if err := listener.publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func leaveStale(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
}

// listenSilently listens and never sends anything.
func listenSilently(t *testing.T, path string) {
	t.Helper()
	listener, err := net.Listen("unix", path)
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

func expectState(t *testing.T, path string, want state) {
	t.Helper()
	if got, err := probe(path); err != nil || got != want {
		t.Errorf("probe(%s) = %v, %v; want %v", path, got, err, want)
	}
}

func expectFolder(t *testing.T, path string, want ...string) {
	t.Helper()
	if got := names(path); got != strings.Join(want, " ") {
		t.Errorf("files in the folder: %q; want %q", got, want)
	}
}

func names(path string) string {
	entries, _ := fs.ReadDir(os.DirFS(filepath.Dir(path)), ".")
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}
