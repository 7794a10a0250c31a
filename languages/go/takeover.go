package samehost

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// A server hands its path over to a successor on the socket <path>.takeover. PROTOCOL.md specifies this under Takeover.
// Each message is a line of JSON. The end of the connection means that the other side is gone. This file implements the
// successor, and handover.go its predecessor.

const (
	// answerTime is how long a server may take to release its lock. It usually takes less than a millisecond.
	answerTime = 5 * time.Second
	// releasedLockTime is how long to try to take a lock that was just released. A third server may hold it until it
	// finds that the path is live.
	releasedLockTime = 2 * time.Second
	// releasedLockPause is the time between two attempts. Waiting for a lock in the system has no timeout.
	releasedLockPause = 5 * time.Millisecond

	maxLineBytes = 4096
)

type message struct {
	Event string `json:"event"`
}

var released, published = message{"released"}, message{"published"}

// controlPath returns the path on which a server listens for its successor, or "" if it is too long for a socket.
func controlPath(path string) string {
	control := path + ".takeover"
	if len(control) > maxPathBytes {
		return ""
	}
	return control
}

// takeLock takes the lock. With TakeOver, it asks a running server to release it.
func (l *Listener) takeLock(ctx context.Context) (err error) {
	l.lock, err = l.tryLock()
	if !l.options.TakeOver || !errors.Is(err, ErrInUse) {
		return err
	}
	if l.predecessor, err = l.askToRelease(ctx); err != nil {
		return err
	}
	for deadline := time.Now().Add(releasedLockTime); ; {
		l.lock, err = l.tryLock()
		if !errors.Is(err, ErrInUse) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return canceled(ctx, l.path)
		case <-time.After(releasedLockPause):
		}
	}
}

// predecessor is the connection to the running server after it released its lock.
type predecessor struct{ connection net.Conn }

func (l *Listener) askToRelease(ctx context.Context) (*predecessor, error) {
	path, control := l.path, controlPath(l.path)
	if control == "" {
		return nil, failed(ErrInUse,
			"cannot take over %s: its name leaves no room for .takeover; stop its server and start this one", path)
	}
	connection, err := net.Dial("unix", control) // never waits on a Unix socket
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, failed(ErrInUse, "cannot take over %s: no server listens on %s, so its server allows no takeover, "+
			"or is starting or stopping; stop its server and start this one", path, control)
	case err != nil:
		return nil, noAnswer(path, cause(err))
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	hangUp := context.AfterFunc(ctx, func() { connection.Close() })
	answer, err := receive(connection)
	inTime := hangUp()
	switch {
	case inTime && err == nil && answer == released:
		return &predecessor{connection}, nil
	case !inTime && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, noAnswer(path, fmt.Errorf("timed out after %g s", answerTime.Seconds()))
	case !inTime:
		return nil, canceled(ctx, path)
	}
	connection.Close()
	return nil, failed(ErrInUse,
		"cannot take over %s: its server is stopping, or another server is taking over; try again", path)
}

func noAnswer(path string, reason error) error {
	return failed(ErrInUse, "cannot take over %s: its server does not answer on %s%w; "+
		"stop it, or kill it if it is blocked, and start this one", path, controlPath(path), optionalReason{reason})
}

// sendPublished makes the predecessor drain and exit.
func (p *predecessor) sendPublished() {
	_ = send(p.connection, published) // fails if the predecessor has already exited
	p.connection.Close()
}

// abandon closes the connection. Before sendPublished, this makes the predecessor take its lock again and continue to
// serve.
func (p *predecessor) abandon() { p.connection.Close() }

func canceled(ctx context.Context, path string) error {
	return fmt.Errorf("cannot listen on %s: %w", path, ctx.Err())
}

func send(connection net.Conn, m message) error {
	return json.NewEncoder(connection).Encode(m) // ends with a newline
}

func receive(connection net.Conn) (message, error) {
	var m message
	line, err := bufio.NewReader(io.LimitReader(connection, maxLineBytes)).ReadBytes('\n')
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(line, &m)
}
