// Package samehost listens and dials on Unix domain sockets, for gRPC servers and clients on one machine. Use [Listen] in a
// server, [NewTransport] in a client of connect-go, and package samehostgrpc in a client of grpc-go. The other side may use
// any language that follows PROTOCOL.md of the project samehost. This package imports no gRPC library.
//
// dial.go and diagnose.go connect. listen.go, lock.go, folder.go and public.go listen safely. drain.go, takeover.go,
// handover.go and watch.go replace a running server without losing a call.
package samehost

import (
	"cmp"
	"context"
	"errors"
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

// Options are the options of a listener. The zero value listens safely and does not allow a takeover.
type Options struct {
	// Mode sets the permissions of the socket. Clients need write permission to connect. 0 means 0660; use fs.ModeSocket
	// for 0000.
	Mode fs.FileMode
	// Group sets the group of the socket, by name or number. "" keeps the group that the system gives a new file in the
	// folder.
	Group string
	// Owner names this server in the error of a second server on the path. "" means the name of the program.
	Owner string
	// TrustFolder allows a folder that every user may write to, and logs a warning.
	TrustFolder bool
	// AllowTakeover lets a successor take over the path without losing a call. TakenOver reports it. The successor dials
	// <path>.takeover. A path of more than 98 bytes leaves no room for that name, so it cannot be taken over.
	AllowTakeover bool
	// TakeOver replaces a running server, which then drains and exits. It implies AllowTakeover.
	TakeOver bool
	// Logger receives warnings. nil means slog.Default().
	Logger *slog.Logger
}

// Listener is a [net.Listener] on the path of a Unix socket.
//
// The socket is bound in a private folder beside the path, and renamed to the path when it is ready. So clients never find
// a socket that does not accept connections yet, or that has a wider mode than Options.Mode.
type Listener struct {
	unix      *net.UnixListener
	path      string
	options   Options
	folder    *folder
	private   *privateFolder // holds the socket until it is published; nil before and after
	bound     string
	found     fs.FileInfo // the file that was at the path before; nil if none
	file      publicFile
	silent    sync.Map // *conn keys whose client has sent nothing yet
	takenOver chan struct{}
	removed   chan struct{}
	watching  sync.Once

	predecessor *predecessor      // nil unless this listener takes over the path
	control     *net.UnixListener // accepts successors; nil without takeovers
	controlFile publicFile

	changing  sync.Mutex // guards the fields below, and the names while the lock changes hands
	lock      *lock
	lent      bool           // a successor may hold the lock and has not published yet
	kept      *privateFolder // holds second names of the sockets while the lock is lent
	withdrawn bool
}

// Listen listens on a path and returns when clients can connect. It replaces the file of a killed server. With TakeOver
// it can wait for seconds; cancel the context to stop it.
//
// Calls wait until the server accepts connections, so do slow work before Listen.
//
// Errors:
//   - [ErrInUse]: a server uses the path, or the takeover failed.
//   - [ErrUnsafeFolder]: every user can replace the socket.
//   - [ErrLockFile]: the lock file holds other data, is not a regular file, or can be locked by another user.
//   - [ErrNotSocket]: another kind of file is at the path.
//   - [ErrAddress]: the path is invalid.
//   - An error of the system or of the context.
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

// prepare locks the path and binds a socket that clients cannot find yet.
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

// Addr returns the path. (net.UnixListener would return the private name that was bound.)
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the path if it still names this socket, releases the lock and stops accepting. Connections stay open.
func (l *Listener) Close() error {
	l.withdraw()
	return l.unix.Close()
}

// claim takes the lock, from a predecessor if necessary, and checks that the path is free.
func (l *Listener) claim(ctx context.Context) error {
	if err := l.takeLock(ctx); err != nil {
		return err
	}
	l.found, _ = os.Lstat(l.file.path())
	state, err := probe(l.path)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: cannot check for a running server: %w; "+
			"check its folder, and the limit of open files", l.path, cause(err))
	}
	if state == live && l.options.TakeOver && l.predecessor == nil { // someone removed the lock file of the server
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
		return failed(ErrNotSocket, "cannot listen on %s: it exists and is not a socket; move it or use another path", path)
	case state == live && l.predecessor == nil:
		return failed(ErrInUse, "cannot listen on %s: a server that does not hold %s.lock answers there; "+
			"stop that server or use another path", path, path)
	case state == forbidden:
		return failed(ErrInUse, "cannot listen on %s: cannot check for a running server: permission denied: %s; "+
			"remove the socket if no server uses it", path, describePermissions(path))
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
		return cannotBind(path, err)
	}
	l.unix = bound
	// Otherwise Close removes the bound name, even if it names another file by then (net.UnixListener.SetUnlinkOnClose).
	bound.SetUnlinkOnClose(false)
	// bind(2) always sets the mode to 0777 minus the umask.
	if err := l.changeGroup(); err != nil {
		return fmt.Errorf("cannot listen on %s: cannot set the group %s: %w; use a group of this process",
			path, l.options.Group, cause(err))
	}
	if err := os.Chmod(l.bound, l.options.Mode.Perm()); err != nil {
		return fmt.Errorf("cannot listen on %s: cannot set the mode %04o: %w; use a file system that has permissions",
			path, l.options.Mode.Perm(), cause(err))
	}
	if l.allowsTakeover() {
		if l.control, err = listenControl(l.privateControl()); err != nil {
			return cannotBind(path, err)
		}
	}
	return nil
}

func cannotBind(path string, err error) error {
	return fmt.Errorf("cannot listen on %s: cannot bind a socket: %w; use a file system that has sockets and space",
		path, cause(err))
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
		return errors.New("no group has this name")
	}
	return os.Chown(l.bound, -1, gid)
}

func (l *Listener) makePrivateFolder() (err error) {
	prefix := privatePrefix(l.path)
	if l.predecessor == nil { // a predecessor keeps second names of its sockets in such a folder
		sweep(l.folder, prefix)
	}
	if l.private, err = makePrivateFolder(l.folder, prefix); err != nil {
		return fmt.Errorf("cannot listen on %s: cannot create a private folder beside it: %w: %s; "+
			"give this process write permission, and the file system space",
			l.path, cause(err), describePermissions(filepath.Dir(l.path)))
	}
	return nil
}

// publish renames the socket to the path, and then tells a predecessor to drain. Clients can connect from now on, because
// the kernel queues connections until the server accepts them.
func (l *Listener) publish(ctx context.Context) error {
	if ctx.Err() != nil {
		return canceled(ctx, l.path)
	}
	if err := l.refuseIfReplaced(); err != nil {
		return err
	}
	var err error
	// Publish the socket for successors first: if this fails or the process dies here, the predecessor still has its
	// path. Publish both before sendPublished, so that the predecessor does not remove either when it drains.
	if l.control != nil {
		err = l.controlFile.publish(l.privateControl())
	}
	if err == nil {
		err = l.file.publish(l.bound)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s: cannot move the socket there: %w: %s; give this process write permission",
			l.path, cause(err), describePermissions(l.path))
	}
	l.private.remove()
	l.private = nil
	if l.predecessor != nil {
		l.predecessor.sendPublished()
	}
	if l.control != nil {
		go l.awaitSuccessor()
	}
	return nil
}

// refuseIfReplaced checks the path again, because publish may only replace the file that claim found there.
func (l *Listener) refuseIfReplaced() error {
	found, err := os.Lstat(l.file.path())
	switch {
	case err != nil:
		return nil
	// Compare the time too: a new file may get the inode number of a removed file.
	case os.SameFile(found, l.found) && found.ModTime().Equal(l.found.ModTime()):
		return nil
	}
	return failed(ErrInUse,
		"cannot listen on %s: another file appeared there during the start; move it or use another path", l.path)
}

// withdraw is like Close, but continues to accept, so that queued connections are served.
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
		l.predecessor.abandon()
	}
	if l.lent {
		l.lock, _ = l.tryLock()
	}
	if l.lock != nil { // otherwise the names may belong to a successor
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
