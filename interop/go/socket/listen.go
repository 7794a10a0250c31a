package socket

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Options of a listener.
type Options struct {
	Mode     fs.FileMode // permissions of the socket; connecting takes write permission
	Group    int         // gid of the socket, or -1 for the process's own
	Owner    string      // who serves, for the error message of whoever comes second
	Takeover bool        // where a server has the path, take it over: that server drains and goes
}

// Listener is one server's hold on a path: Listen, let the server accept, Publish, serve until a signal, TakenOver or
// Removed, Withdraw.
//
// The socket is bound in a private folder beside the path and renamed onto the path when it serves. So whoever finds a
// file at the path finds one that serves, and never one with a wider mode.
type Listener struct {
	*net.UnixListener
	address     Address
	owner       string
	private     string
	file        ownFile
	silent      sync.Map // of *conn
	predecessor *predecessor

	control     *net.UnixListener // where successors dial; nil where the path leaves no room for its name
	controlFile ownFile
	takenOver   chan struct{}
	removed     chan struct{}

	changing  sync.Mutex // held while the lock changes hands
	lock      *lock      // nil while a successor may have it
	withdrawn bool
}

// Listen locks the path, refuses one that is not free, and binds a socket with mode and group that nobody finds yet.
func Listen(address Address, options Options) (*Listener, error) {
	private, err := privatePath(address)
	if err != nil {
		return nil, err
	}
	listener := &Listener{
		address:     address,
		owner:       options.Owner,
		private:     private,
		file:        ownFile{path: address.Path},
		controlFile: ownFile{path: controlPath(address.Path)},
		takenOver:   make(chan struct{}),
		removed:     make(chan struct{}),
	}
	if err := listener.takeLock(options.Takeover); err != nil {
		return nil, err
	}
	if err := listener.bind(options); err != nil {
		listener.Withdraw()
		if listener.UnixListener != nil {
			listener.Close()
		}
		return nil, err
	}
	return listener, nil
}

func (l *Listener) takeLock(takeover bool) (err error) {
	l.lock, err = lockFor(l.address.Path, l.owner, 0)
	if !takeover || !errors.As(err, &inUseError{}) {
		return err
	}
	if l.predecessor, err = askToRelease(l.address.Path); err != nil {
		return err
	}
	if l.lock, err = lockFor(l.address.Path, l.owner, releasedLockTime); err != nil {
		l.predecessor.giveUp()
	}
	return err
}

func (l *Listener) bind(options Options) error {
	if err := l.refuseUnlessFree(); err != nil {
		return err
	}
	if err := refuseForeignControl(l.address); err != nil {
		return err
	}
	if err := l.makePrivateFolder(); err != nil {
		return err
	}
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.private, Net: "unix"})
	if err != nil {
		return fmt.Errorf("cannot bind a socket beside %s: %w; check that its folder is on a file system with sockets "+
			"and has space", l.address.Path, cause(err))
	}
	l.UnixListener = bound
	// Otherwise Close removes the name that was bound, whoever's it is by then (net.UnixListener.SetUnlinkOnClose).
	bound.SetUnlinkOnClose(false)
	// bind(2) gives a socket the mode 0777 less the umask, and has no argument for another one.
	if err := os.Chown(l.private, -1, options.Group); err != nil {
		return fmt.Errorf("cannot give %s the group %d: %w; choose a group that this process is in",
			l.address.Path, options.Group, cause(err))
	}
	if err := os.Chmod(l.private, options.Mode); err != nil {
		return fmt.Errorf("cannot give %s the mode %04o: %w; %s",
			l.address.Path, options.Mode, cause(err), describePermissions(l.private))
	}
	if l.controlFile.path != "" {
		if l.control, err = listenControl(l.privateControl()); err != nil {
			return fmt.Errorf("cannot bind a socket for %s: %w; check that its file system has space",
				l.controlFile.path, cause(err))
		}
	}
	return nil
}

// Publish renames the socket onto the path. The kernel queues connections from now on, so a server that is just about
// to accept serves already.
func (l *Listener) Publish() error {
	var err error
	// First the socket for successors: if this fails, or the process dies here, a predecessor still has its path. And
	// both before the predecessor is told, which then finds neither to be its own.
	if l.control != nil {
		err = l.controlFile.rename(l.privateControl())
	}
	if err == nil {
		err = l.file.rename(l.private)
	}
	if err != nil {
		return fmt.Errorf("cannot publish %s: %w; %s", l.address.Path, cause(err), describePermissions(l.address.Path))
	}
	// Before a successor can have the lock, as the folder is its own then.
	l.removePrivateFolder()
	if l.predecessor != nil {
		l.predecessor.tellPublished()
	}
	if l.control != nil {
		go l.awaitSuccessor()
	}
	l.watch()
	return nil
}

// Withdraw removes the path if it is still this listener's own, and releases the lock. Connections stay, and those that
// are queued are still accepted. Doing it twice is harmless.
func (l *Listener) Withdraw() {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.withdrawn {
		return
	}
	l.withdrawn = true
	if l.control != nil {
		l.control.Close()
	}
	if l.lock == nil { // a successor has it, whose the files are then, or has given it up
		l.lock, _ = lockFor(l.address.Path, l.owner, 0)
	}
	if l.lock != nil {
		l.file.removeIfOwn()
		l.controlFile.removeIfOwn()
		l.removePrivateFolder()
		l.lock.release()
	}
	if l.predecessor != nil {
		l.predecessor.giveUp()
	}
}

// ownFile is a file that this process has put at a path.
type ownFile struct {
	path          string
	device, inode uint64
}

func (f *ownFile) rename(private string) error {
	var found unix.Stat_t
	if err := unix.Lstat(private, &found); err != nil {
		return err
	}
	f.device, f.inode = found.Dev, found.Ino
	return os.Rename(private, f.path)
}

// removeIfOwn needs the lock: a successor could else put its own file there between the look and the removal.
func (f *ownFile) removeIfOwn() {
	if f.isOwn() {
		os.Remove(f.path)
	}
}

func (f *ownFile) isOwn() bool {
	var found unix.Stat_t
	return unix.Lstat(f.path, &found) == nil && found.Dev == f.device && found.Ino == f.inode
}

func (l *Listener) refuseUnlessFree() error {
	address := l.address
	state, err := Probe(address)
	if err != nil {
		return err
	}
	switch {
	case state == NotASocket:
		return fmt.Errorf("%s exists and is not a socket; move it away or choose another path", address.Path)
	case state == Live && l.predecessor == nil:
		return fmt.Errorf("%s has a server already: someone answers there without holding %s.lock; "+
			"stop that server or choose another path", address.Path, address.Path)
	case state == Forbidden:
		return fmt.Errorf("%s may have a server: this process is not allowed to ask; %s; "+
			"remove the file if nobody serves there", address.Path, describePermissions(address.Path))
	}
	return nil
}

func (l *Listener) makePrivateFolder() error {
	l.removePrivateFolder()
	folder := filepath.Dir(l.private)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("cannot create %s for the socket %s: %w; %s; let this process write there",
			folder, l.address.Path, cause(err), describePermissions(folder))
	}
	return nil
}

// removePrivateFolder removes what this server, or one that was killed while it started, left; safe under the lock.
func (l *Listener) removePrivateFolder() {
	folder := filepath.Dir(l.private)
	left, _ := os.ReadDir(folder)
	for _, entry := range left {
		if entry.Type() == fs.ModeSocket {
			os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
	os.Remove(folder)
}

// privateControl is where the socket for successors is bound, under a shorter name than privatePath's random one.
func (l *Listener) privateControl() string { return filepath.Join(filepath.Dir(l.private), "t") }

// privatePath is where the socket is bound: a random name, in a folder beside the path whose name depends on the path
// alone. It must fit into a socket's address too, so both names get shorter where the path is long. Of the folder's 8
// hexadecimal digits, two paths of one folder have the same ones once in 4 billion.
func privatePath(address Address) (string, error) {
	folder, name := filepath.Split(address.Path)
	room := MaxPathBytes - len(folder) - len("./")
	if room < len("ab") {
		return "", fmt.Errorf("%s leaves no room for a private name beside it; choose a folder with a shorter name",
			address.Path)
	}
	digest := sha256.Sum256([]byte(name))
	socketBytes := min(room/2, 4)
	folderBytes := min(room-socketBytes, 8)
	return filepath.Join(folder, "."+hex.EncodeToString(digest[:])[:folderBytes], rand.Text()[:socketBytes]), nil
}
