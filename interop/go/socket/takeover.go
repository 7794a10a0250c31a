package socket

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"time"
)

// A server hands its path over to a successor on a socket beside the path, as PROTOCOL.md has it under Takeover. Lines
// of JSON say what has happened; a connection that ends says that the other one is gone.

const (
	// answerTime is how long a server may take to release its lock, which takes it less than a millisecond.
	answerTime = 5 * time.Second
	// releasedLockTime is how long to try for a lock that was just released: a third server may have it while it finds
	// the path live.
	releasedLockTime = 2 * time.Second

	maxLineBytes = 4096
)

type message struct {
	Event string `json:"event"`
}

var released, published = message{"released"}, message{"published"}

// controlPath is where a server listens for its successor; "" where the name would be too long for a socket.
func controlPath(path string) string {
	control := path + ".takeover"
	if len(control) > MaxPathBytes {
		return ""
	}
	return control
}

// listenControl listens in the private folder, under a name that privatePath does not give to the server's own socket.
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

func refuseForeignControl(address Address) error {
	found, err := os.Lstat(controlPath(address.Path))
	if err == nil && found.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s.takeover is needed to hand %s over and is not a socket; move it away or choose another path",
			address.Path, address.Path)
	}
	return nil
}

// predecessor is the server that has the path, as its successor meets it; it has released its lock.
type predecessor struct{ connection net.Conn }

func askToRelease(path string) (*predecessor, error) {
	control := controlPath(path)
	if control == "" {
		return nil, fmt.Errorf("%s can't be taken over: its name leaves no room for .takeover; stop its server", path)
	}
	connection, err := net.DialTimeout("unix", control, answerTime)
	if err != nil {
		return nil, fmt.Errorf("%s can't be taken over: nobody answers at %s: %w; stop its server", path, control, cause(err))
	}
	// For this answer alone: a deadline for writing would pass while this server starts.
	err = connection.SetReadDeadline(time.Now().Add(answerTime))
	var answer message
	if err == nil {
		answer, err = receive(connection)
	}
	if answer == released {
		return &predecessor{connection}, nil
	}
	connection.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("%s can't be taken over: nobody answers at %s within %s; stop its server",
			path, control, answerTime)
	}
	return nil, fmt.Errorf("%s can't be taken over: its server goes, or another takes over; try again", path)
}

// tellPublished makes the predecessor drain and go.
func (p *predecessor) tellPublished() {
	_ = send(p.connection, published) // if it does not hear it, it has gone already
	p.connection.Close()
}

// giveUp makes the predecessor take its lock again and serve on, unless it was told to go.
func (p *predecessor) giveUp() { p.connection.Close() }

// TakenOver is closed when a successor serves at the path: it is time to stop.
func (l *Listener) TakenOver() <-chan struct{} { return l.takenOver }

// awaitSuccessor answers successors, one at a time, until one has published or Withdraw.
func (l *Listener) awaitSuccessor() {
	defer l.control.Close() // hangs up on those that wait
	for {
		connection, err := l.control.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				slog.Warn("the server can't be taken over any more", "socket", l.address.Path, "error", err)
			}
			return
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
	if !l.releaseLock() {
		return false
	}
	if send(connection, released) == nil {
		// Without a deadline, as a server may take its time to start; the system ends the connection of one that dies.
		if answer, err := receive(connection); err == nil && answer == published {
			return true
		}
	}
	l.retakeLock()
	return false
}

// releaseLock says whether a successor may try for the lock; it may not when this server goes.
func (l *Listener) releaseLock() bool {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.withdrawn {
		return false
	}
	if l.lock != nil { // it was not if it could not be taken again
		l.lock.release()
		l.lock = nil
	}
	return true
}

// retakeLock takes the lock again when a successor gave up. Even without it, others find the path live.
func (l *Listener) retakeLock() {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.withdrawn {
		return
	}
	var err error
	if l.lock, err = lockFor(l.address.Path, l.owner, releasedLockTime); err != nil {
		slog.Warn("a takeover was given up, and the lock can't be had again", "socket", l.address.Path, "error", err)
	}
}

func send(connection net.Conn, m message) error {
	return json.NewEncoder(connection).Encode(m) // with a newline
}

func receive(connection net.Conn) (message, error) {
	var m message
	line, err := bufio.NewReader(io.LimitReader(connection, maxLineBytes)).ReadBytes('\n')
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(line, &m)
}
