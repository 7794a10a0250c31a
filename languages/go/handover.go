package samehost

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"time"
)

const (
	// successorTime is how long a successor may say nothing without the lock, for which it tries for releasedLockTime.
	successorTime = 5 * time.Second
	// retryPace is how often to try again for the lock, or for a successor when no descriptor was left for it.
	retryPace = 50 * time.Millisecond
	// retriesBeforeWarning are 2 s: a third server may have the lock while it finds the path live.
	retriesBeforeWarning = 40
)

// privateControl is where the socket for successors is bound.
func (l *Listener) privateControl() string { return l.bound + "t" }

// listenControl listens in the private folder.
func listenControl(private string) (*net.UnixListener, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // as in bind
	// The server's own user alone: whoever may dial it can make the server go.
	if err := os.Chmod(private, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// handsOver tells whether this server listens for successors.
func (l *Listener) handsOver() bool {
	return (l.options.AllowTakeover || l.options.TakeOver) && controlPath(l.path) != ""
}

func (l *Listener) refuseForeignControl() error {
	if !l.handsOver() {
		return nil
	}
	found, err := os.Lstat(l.controlFile.path())
	if err == nil && found.Mode().Type() != fs.ModeSocket {
		return failed(ErrNotSocket, "%s.takeover is needed to hand %s over and is not a socket; move it away or choose another path",
			l.path, l.path)
	}
	return nil
}

// TakenOver returns a channel that is closed when a successor serves at the path: then drain.
func (l *Listener) TakenOver() <-chan struct{} { return l.takenOver }

// awaitSuccessor answers successors, one at a time, until one has published or Withdraw.
func (l *Listener) awaitSuccessor() {
	defer l.control.Close() // hangs up on those that wait
	for {
		connection, err := l.control.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor is left, which passes
			time.Sleep(retryPace)
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

// handOver says whether the successor has published.
func (l *Listener) handOver(connection net.Conn) bool {
	if !l.lendLock() {
		return false
	}
	if send(connection, released) == nil && l.hearPublished(connection) {
		l.giveLockAway()
		return true
	}
	for tries := 1; !l.retakeLock(); tries++ {
		if tries == retriesBeforeWarning {
			l.options.Logger.Warn("a takeover has failed, and another process holds the lock", "socket", l.path)
		}
		time.Sleep(retryPace)
	}
	return false
}

// hearPublished waits for what the successor says next. One that is silent may take its time to start, if it has the lock.
func (l *Listener) hearPublished(connection net.Conn) bool {
	heard := make(chan bool, 1)
	go func() {
		answer, err := receive(connection) // until it is closed
		heard <- err == nil && answer == published
	}()
	for {
		select {
		case isPublished := <-heard:
			return isPublished
		case <-time.After(successorTime):
			if l.retakeLock() {
				l.options.Logger.Warn("a successor that wanted to take the path over says nothing more", "socket", l.path)
				return false
			}
		}
	}
}

// lendLock releases the lock for a successor, unless this server goes.
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

// retakeLock tries to take the lock back, and gives the sockets their public names again; true where there is nothing to
// take back.
func (l *Listener) retakeLock() bool {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.withdrawn || !l.lent {
		return true
	}
	lock, err := l.tryLock()
	if err != nil { // another process holds it, or no descriptor is left
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
