package socket

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// Options of a listener.
type Options struct {
	Mode        fs.FileMode // permissions of the socket; connecting takes write permission
	Group       int         // gid of the socket, or -1 for the process's own
	Owner       string      // who serves, for the error message of whoever comes second
	Takeover    bool        // where a server has the path, take it over: that server drains and goes
	TrustFolder bool        // listen, with a warning, also in a folder that every user may write to
}

// Listener is one server's hold on a path: Listen, let the server accept, Publish, serve until a signal, TakenOver or
// Removed, Withdraw.
//
// The socket is bound in a private folder beside the path and renamed onto the path when it serves. So whoever finds a
// file at the path finds one that serves, and never one with a wider mode.
type Listener struct {
	*net.UnixListener
	address   Address
	owner     string
	folder    *folder
	private   *privateFolder // nil before and after the socket is in it
	bound     string
	found     fs.FileInfo // what was at the path before; nil for nothing
	file      publicFile
	silent    sync.Map // of *conn
	takenOver chan struct{}
	removed   chan struct{}

	predecessor *predecessor      // nil where the path is not taken over
	control     *net.UnixListener // where successors dial; nil where the path leaves no room for its name
	controlFile publicFile

	changing  sync.Mutex // held while the lock changes hands
	lock      *lock
	lent      bool           // a successor may have the lock, and has not published yet
	kept      *privateFolder // with other names of the sockets, while the lock is lent
	withdrawn bool
}

// Listen locks the path, refuses one that is not free, and binds a socket with mode and group that nobody finds yet. With
// Takeover it may wait for seconds; the context ends that.
func Listen(ctx context.Context, address Address, options Options) (*Listener, error) {
	folder, err := openSocketFolder(address, options.TrustFolder)
	if err != nil {
		return nil, err
	}
	listener := &Listener{
		address:     address,
		owner:       options.Owner,
		folder:      folder,
		file:        publicFile{folder: folder, name: filepath.Base(address.Path)},
		controlFile: publicFile{folder: folder, name: filepath.Base(address.Path) + ".takeover"},
		takenOver:   make(chan struct{}),
		removed:     make(chan struct{}),
	}
	err = listener.claim(ctx, options.Takeover)
	if err == nil {
		err = listener.bind(options)
	}
	if err != nil {
		listener.Withdraw()
		if listener.UnixListener != nil {
			listener.Close()
		}
		return nil, err
	}
	return listener, nil
}

// Addr returns the path, where net.UnixListener has the private name that was bound.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.address.Path, Net: "unix"} }

// claim takes the lock, from a predecessor where there is one, and looks at what is at the path.
func (l *Listener) claim(ctx context.Context, takeover bool) error {
	if err := l.takeLock(ctx, takeover); err != nil {
		return err
	}
	l.found, _ = os.Lstat(l.file.path())
	state, err := probe(l.file.path())
	if err != nil {
		return cannotLook(l.address, err)
	}
	if state == Live && takeover && l.predecessor == nil { // someone has removed the lock file that it holds
		if l.predecessor, err = l.askToRelease(ctx); err != nil {
			return err
		}
	}
	if err := l.refuseUnlessFree(state); err != nil {
		return err
	}
	return l.refuseForeignControl()
}

func (l *Listener) refuseUnlessFree(state State) error {
	path := l.address.Path
	switch {
	case state == NotASocket:
		return fmt.Errorf("%s exists and is not a socket; move it away or choose another path", path)
	case state == Live && l.predecessor == nil:
		return fmt.Errorf("%s has a server already: someone answers there without holding %s.lock; "+
			"stop that server or choose another path", path, path)
	case state == Forbidden:
		return fmt.Errorf("%s may have a server: this process is not allowed to ask; %s; "+
			"remove the file if nobody serves there", path, describePermissions(path))
	}
	return nil
}

func (l *Listener) bind(options Options) error {
	if err := l.makePrivateFolder(); err != nil {
		return err
	}
	path := l.address.Path
	l.bound = l.private.at(randomDigits())
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.bound, Net: "unix"})
	if err != nil {
		return fmt.Errorf("cannot bind a socket beside %s: %w; check that its folder is on a file system with sockets "+
			"and has space", path, cause(err))
	}
	l.UnixListener = bound
	// Otherwise Close removes the name that was bound, whoever's it is by then (net.UnixListener.SetUnlinkOnClose).
	bound.SetUnlinkOnClose(false)
	// bind(2) gives a socket the mode 0777 less the umask, and has no argument for another one.
	if err := os.Chown(l.bound, -1, options.Group); err != nil {
		return fmt.Errorf("cannot give %s the group %d: %w; choose a group that this process is in",
			path, options.Group, cause(err))
	}
	if err := os.Chmod(l.bound, options.Mode); err != nil {
		return fmt.Errorf("cannot give %s the mode %04o: %w; %s",
			path, options.Mode, cause(err), describePermissions(filepath.Dir(path)))
	}
	if controlPath(l.address) != "" {
		if l.control, err = listenControl(l.privateControl()); err != nil {
			return fmt.Errorf("cannot bind the socket for successors of %s: %w; check that its file system has space",
				path, cause(err))
		}
	}
	return nil
}

func (l *Listener) makePrivateFolder() (err error) {
	prefix := privatePrefix(l.address)
	if l.predecessor == nil { // it keeps names of its sockets in such a folder
		sweep(l.folder, prefix)
	}
	if l.private, err = makePrivateFolder(l.folder, prefix); err != nil {
		return fmt.Errorf("cannot create a private folder beside %s: %w; %s; let this process write there",
			l.address.Path, cause(err), describePermissions(filepath.Dir(l.address.Path)))
	}
	return nil
}

// Publish renames the socket onto the path. The kernel queues connections from now on, so a server that is just about
// to accept serves already.
func (l *Listener) Publish() error {
	if err := l.refuseIfReplaced(); err != nil {
		return err
	}
	var err error
	// First the socket for successors: if this fails, or the process dies here, a predecessor still has its path. And
	// both before the predecessor is told, which then finds neither to be its own.
	if l.control != nil {
		err = l.controlFile.publish(l.privateControl())
	}
	if err == nil {
		err = l.file.publish(l.bound)
	}
	if err != nil {
		return fmt.Errorf("cannot publish %s: %w; %s", l.address.Path, cause(err), describePermissions(l.address.Path))
	}
	l.private.remove()
	l.private = nil
	if l.predecessor != nil {
		l.predecessor.tellPublished()
	}
	if l.control != nil {
		go l.awaitSuccessor()
	}
	l.watch()
	return nil
}

// refuseIfReplaced looks at the path again: only what claim found there may be replaced.
func (l *Listener) refuseIfReplaced() error {
	found, err := os.Lstat(l.file.path())
	switch {
	case err != nil:
		return nil
	// The number of a file that was removed may be given to a new one, which has another time.
	case os.SameFile(found, l.found) && found.ModTime().Equal(l.found.ModTime()):
		return nil
	}
	return fmt.Errorf("someone put another file at %s while this server started; it is kept: move it away "+
		"or choose another path", l.address.Path)
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
	if l.predecessor != nil {
		l.predecessor.giveUp()
	}
	if l.lent {
		l.lock, _ = l.tryLock()
	}
	if l.lock != nil { // otherwise the names may be a successor's
		l.file.removeIfOwn()
		l.controlFile.removeIfOwn()
	}
	for _, private := range []*privateFolder{l.private, l.kept} {
		if private != nil {
			private.remove()
		}
	}
	l.folder.close()
	if l.lock != nil {
		l.lock.release()
	}
}

func (l *Listener) tryLock() (*lock, error) { return tryLock(l.folder, l.address, l.owner) }
