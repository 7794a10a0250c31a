// Package samehost listens and dials on Unix domain sockets, for gRPC servers and clients of one machine: [Listen] and
// [NewTransport]; for grpc-go, package samehostgrpc dials. It keeps PROTOCOL.md of the project samehost, so the other
// side may be of any language, and knows no gRPC library itself.
//
// The layers are in files of their own: dial.go; listen.go with lock.go, folder.go and public.go, which is a safe
// listener; and drain.go, takeover.go, handover.go and watch.go, which replace a running server without losing a call.
package samehost

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
)

// Options are the options of a listener. The zero value listens safely, and does not allow a takeover.
type Options struct {
	// Mode sets the permissions of the socket; 0 means 0660, and fs.ModeSocket 0000. Connecting takes write permission.
	Mode fs.FileMode
	// Group sets the group of the socket, by name or number; "" leaves the one that the system gives to a new file there.
	Group string
	// Owner names this server in the error that a second one gets; "" means the program's name.
	Owner string
	// TrustFolder allows a folder that every user may write to, with a warning.
	TrustFolder bool
	// AllowTakeover lets a successor take the path over without losing a call; TakenOver tells when. The successor dials
	// <path>.takeover. A path of more than 98 bytes leaves no room for that name, and cannot be taken over.
	AllowTakeover bool
	// TakeOver replaces a running server, which then drains and exits. It implies AllowTakeover.
	TakeOver bool
	// Logger receives warnings; nil means slog.Default().
	Logger *slog.Logger
}

// Listener is one server's hold on a path, and a [net.Listener].
//
// The socket is bound in a private folder beside the path and renamed onto the path when it serves. So whoever finds a
// file at the path finds one that serves, and never one with a wider mode.
type Listener struct {
	unix      *net.UnixListener
	path      string
	options   Options
	folder    *folder
	private   *privateFolder // nil before and after the socket is in it
	bound     string
	found     fs.FileInfo // what was at the path before; nil for nothing
	file      publicFile
	silent    sync.Map // of *conn
	takenOver chan struct{}
	removed   chan struct{}
	watching  sync.Once

	predecessor *predecessor      // nil where the path is not taken over
	control     *net.UnixListener // where successors dial; nil where there can be none
	controlFile publicFile

	changing  sync.Mutex // held while the lock changes hands
	lock      *lock
	lent      bool           // a successor may have the lock, and has not published yet
	kept      *privateFolder // with other names of the sockets, while the lock is lent
	withdrawn bool
}

// Listen listens on a path and returns when clients can connect. It replaces the file of a server that was killed. With
// TakeOver it may wait for seconds; the context cancels that.
//
// Calls wait until the server accepts connections, so do slow work before Listen.
//
// Errors: [ErrInUse], [ErrUnsafeFolder], [ErrLockFile], [ErrNotSocket], [ErrAddress], and those of the system and the context.
func Listen(ctx context.Context, path string, options Options) (*Listener, error) {
	listener, err := prepare(ctx, path, options)
	if err != nil {
		return nil, err
	}
	if err := listener.publish(ctx); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// prepare locks the path, and binds a socket that no client finds yet.
func prepare(ctx context.Context, path string, options Options) (*Listener, error) {
	path, err := ParseAddress(path)
	if err != nil {
		return nil, err
	}
	options.Mode = cmp.Or(options.Mode, 0o660)
	options.Owner = cmp.Or(options.Owner, filepath.Base(os.Args[0]))
	options.Logger = cmp.Or(options.Logger, slog.Default())
	folder, err := openSocketFolder(path, options)
	if err != nil {
		return nil, err
	}
	listener := &Listener{
		path:        path,
		options:     options,
		folder:      folder,
		file:        publicFile{folder: folder, name: filepath.Base(path)},
		controlFile: publicFile{folder: folder, name: filepath.Base(path) + ".takeover"},
		takenOver:   make(chan struct{}),
		removed:     make(chan struct{}),
	}
	err = listener.claim(ctx)
	if err == nil {
		err = listener.bind()
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// Addr returns the path, where net.UnixListener has the private name that was bound.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the path if it is still this listener's own, releases the lock and stops accepting. Connections stay.
func (l *Listener) Close() error {
	l.withdraw()
	return l.unix.Close()
}

// claim takes the lock, from a predecessor where there is one, and looks at what is at the path.
func (l *Listener) claim(ctx context.Context) error {
	if err := l.takeLock(ctx); err != nil {
		return err
	}
	l.found, _ = os.Lstat(l.file.path())
	state, err := probe(l.path)
	if err != nil {
		return cannotLook(l.path, err)
	}
	if state == live && l.options.TakeOver && l.predecessor == nil { // someone has removed the lock file that it holds
		if l.predecessor, err = l.askToRelease(ctx); err != nil {
			return err
		}
	}
	if err := l.refuseUnlessFree(state); err != nil {
		return err
	}
	return l.refuseForeignControl()
}

func (l *Listener) refuseUnlessFree(state state) error {
	path := l.path
	switch {
	case state == notASocket:
		return failed(ErrNotSocket, "%s exists and is not a socket; move it away or choose another path", path)
	case state == live && l.predecessor == nil:
		return failed(ErrInUse, "%s has a server already: someone answers there without holding %s.lock; "+
			"stop that server or choose another path", path, path)
	case state == forbidden:
		return failed(ErrInUse, "%s may have a server: this process is not allowed to ask; %s; "+
			"remove the file if nobody serves there", path, describePermissions(path))
	}
	return nil
}

func (l *Listener) bind() error {
	if err := l.makePrivateFolder(); err != nil {
		return err
	}
	path := l.path
	l.bound = l.private.at(randomDigits())
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.bound, Net: "unix"})
	if err != nil {
		return fmt.Errorf("cannot bind a socket beside %s: %w; check that its folder is on a file system with sockets "+
			"and has space", path, cause(err))
	}
	l.unix = bound
	// Otherwise Close removes the name that was bound, whoever's it is by then (net.UnixListener.SetUnlinkOnClose).
	bound.SetUnlinkOnClose(false)
	// bind(2) gives a socket the mode 0777 less the umask, and has no argument for another one.
	if err := l.changeGroup(); err != nil {
		return fmt.Errorf("cannot give %s the group %s: %w; choose a group that this process is in",
			path, l.options.Group, cause(err))
	}
	if err := os.Chmod(l.bound, l.options.Mode.Perm()); err != nil {
		return fmt.Errorf("cannot give %s the mode %04o: %w; %s",
			path, l.options.Mode.Perm(), cause(err), describePermissions(filepath.Dir(path)))
	}
	if l.handsOver() {
		if l.control, err = listenControl(l.privateControl()); err != nil {
			return fmt.Errorf("cannot bind the socket for successors of %s: %w; check that its file system has space",
				path, cause(err))
		}
	}
	return nil
}

func (l *Listener) changeGroup() error {
	group := l.options.Group
	if group == "" {
		return nil
	}
	if found, err := user.LookupGroup(group); err == nil {
		group = found.Gid
	}
	gid, err := strconv.Atoi(group)
	if err != nil {
		return user.UnknownGroupError(group)
	}
	return os.Chown(l.bound, -1, gid)
}

func (l *Listener) makePrivateFolder() (err error) {
	prefix := privatePrefix(l.path)
	if l.predecessor == nil { // it keeps names of its sockets in such a folder
		sweep(l.folder, prefix)
	}
	if l.private, err = makePrivateFolder(l.folder, prefix); err != nil {
		return fmt.Errorf("cannot create a private folder beside %s: %w; %s; let this process write there",
			l.path, cause(err), describePermissions(filepath.Dir(l.path)))
	}
	return nil
}

// publish renames the socket onto the path, and then tells a predecessor to drain. The kernel queues connections from now
// on, so a server that is just about to accept serves already.
func (l *Listener) publish(ctx context.Context) error {
	if ctx.Err() != nil {
		return calledOff(ctx, l.path)
	}
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
		return fmt.Errorf("cannot publish %s: %w; %s", l.path, cause(err), describePermissions(l.path))
	}
	l.private.remove()
	l.private = nil
	if l.predecessor != nil {
		l.predecessor.tellPublished()
	}
	if l.control != nil {
		go l.awaitSuccessor()
	}
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
	return failed(ErrInUse, "someone put another file at %s while this server started; it is kept: move it away "+
		"or choose another path", l.path)
}

// withdraw does what Close does, but goes on accepting, so that connections which are queued are served.
func (l *Listener) withdraw() {
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

func (l *Listener) tryLock() (*lock, error) { return tryLock(l.folder, l.path, l.options.Owner) }
