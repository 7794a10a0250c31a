package samehost

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"time"
)

const (
	// successorTime is how long a successor may stay silent while it does not hold the lock. It tries to take the lock
	// for releasedLockTime.
	successorTime = 5 * time.Second
	// retryInterval is the time between two attempts to take the lock, or to accept a successor without free descriptors.
	retryInterval = 50 * time.Millisecond
	// retriesBeforeWarning is 2 s of retries: a third server may hold the lock until it finds that the path is live.
	retriesBeforeWarning = 40
)

// privateControl returns the path at which the socket for successors is bound.
func (l *Listener) privateControl() string { return l.bound + "t" }

// listenControl listens for successors in the private folder.
func listenControl(private string) (*net.UnixListener, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // as in bind
	// Only the user of the server may dial it, because a successor can stop the server.
	if err := os.Chmod(private, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// allowsTakeover reports whether this server listens for successors.
func (l *Listener) allowsTakeover() bool {
	return (l.options.AllowTakeover || l.options.TakeOver) && controlPath(l.path) != ""
}

func (l *Listener) refuseForeignControl() error {
	if !l.allowsTakeover() {
		return nil
	}
	found, err := os.Lstat(l.controlFile.path())
	if err == nil && found.Mode().Type() != fs.ModeSocket {
		return failed(ErrNotSocket,
			"cannot listen on %s: %s.takeover exists and is not a socket; move it or use another path", l.path, l.path)
	}
	return nil
}

// TakenOver returns a channel that is closed when a successor has taken over the path. Call Drain then.
func (l *Listener) TakenOver() <-chan struct{} { return l.takenOver }

// awaitSuccessor answers successors one at a time, until one has published or the listener is withdrawn.
func (l *Listener) awaitSuccessor() {
	defer l.control.Close() // closes the connections of waiting successors
	for {
		connection, err := l.control.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor is free at the moment
			time.Sleep(retryInterval)
			continue
		}
		done := l.handOver(connection)
		connection.Close()
		if done {
			close(l.takenOver)
			return
		}
	}
}

// handOver reports whether the successor has published.
func (l *Listener) handOver(connection net.Conn) bool {
	if !l.lendLock() {
		return false
	}
	if send(connection, released) == nil && l.awaitPublished(connection) {
		l.giveLockAway()
		return true
	}
	for tries := 1; !l.retakeLock(); tries++ {
		if tries == retriesBeforeWarning {
			l.options.Logger.Warn("a takeover failed, and another process holds the lock", "socket", l.path)
		}
		time.Sleep(retryInterval)
	}
	return false
}

// awaitPublished waits for the next message of the successor and reports whether it is "published". A successor that
// holds the lock may stay silent as long as it starts.
func (l *Listener) awaitPublished(connection net.Conn) bool {
	received := make(chan bool, 1)
	go func() {
		answer, err := receive(connection) // ends when handOver's caller closes the connection
		received <- err == nil && answer == published
	}()
	for {
		select {
		case isPublished := <-received:
			return isPublished
		case <-time.After(successorTime):
			if l.retakeLock() {
				l.options.Logger.Warn("a takeover failed: the successor sent nothing more", "socket", l.path)
				return false
			}
		}
	}
}

// lendLock releases the lock for a successor. It returns false if this listener is withdrawn.
func (l *Listener) lendLock() bool {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.withdrawn {
		return false
	}
	if kept, err := makePrivateFolder(l.folder, privatePrefix(l.path)); err == nil {
		l.kept = kept
		l.file.keep(kept)
		l.controlFile.keep(kept)
	}
	l.lock.release()
	l.lock, l.lent = nil, true
	return true
}

// giveLockAway leaves the lock to a successor that has published.
func (l *Listener) giveLockAway() {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.lent = false
}

// retakeLock tries to take the lock back and to restore the public names of the sockets. It also returns true if the lock
// is not lent.
func (l *Listener) retakeLock() bool {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.withdrawn || !l.lent {
		return true
	}
	lock, err := l.tryLock()
	if err != nil { // another process holds it, or no descriptor is free
		return false
	}
	l.lock, l.lent = lock, false
	if l.kept != nil {
		l.file.restore(l.kept)
		l.controlFile.restore(l.kept)
		l.kept.remove()
		l.kept = nil
	}
	return true
}
