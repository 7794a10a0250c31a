package samehost

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A server hands its path over to a successor on a socket beside the path, as PROTOCOL.md has it under Takeover. Lines
// of JSON say what has happened; a connection that ends says that the other one is gone. Here is the successor's side,
// and in handover.go its predecessor's.

const (
	// answerTime is how long a server may take to release its lock, which takes it less than a millisecond.
	answerTime = 5 * time.Second
	// releasedLockTime is how long to try for a lock that was just released: a third server may have it while it finds
	// the path live.
	releasedLockTime = 2 * time.Second
	// releasedLockPace is how often: the system tells nobody of a release who won't wait for it without end.
	releasedLockPace = 5 * time.Millisecond

	maxLineBytes = 4096
)

type message struct {
	Event string `json:"event"`
}

var released, published = message{"released"}, message{"published"}

// controlPath is where a server listens for its successor; "" where the name would be too long for a socket.
func controlPath(path string) string {
	control := path + ".takeover"
	if len(control) > maxPathBytes {
		return ""
	}
	return control
}

// takeLock takes the lock. With TakeOver, it asks a server that holds it to release it.
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
			return calledOff(ctx, l.path)
		case <-time.After(releasedLockPace):
		}
	}
}

// predecessor is the server that has the path, as its successor meets it; it has released its lock.
type predecessor struct{ connection net.Conn }

func (l *Listener) askToRelease(ctx context.Context) (*predecessor, error) {
	path, control := l.path, controlPath(l.path)
	if control == "" {
		return nil, failed(ErrInUse, "%s can't be taken over: its name leaves no room for .takeover; stop its server", path)
	}
	connection, err := net.Dial("unix", control) // for a Unix socket, it never waits
	if err != nil {
		return nil, failed(ErrInUse, "%s can't be taken over: nobody answers at %s: %w; stop its server", path, control, cause(err))
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
		return nil, failed(ErrInUse, "%s can't be taken over: nobody answers at %s within %s; stop its server",
			path, control, answerTime)
	case !inTime:
		return nil, calledOff(ctx, path)
	}
	connection.Close()
	return nil, failed(ErrInUse, "%s can't be taken over: its server goes, or another takes over; try again", path)
}

// tellPublished makes the predecessor drain and go.
func (p *predecessor) tellPublished() {
	_ = send(p.connection, published) // if it does not hear it, it has gone already
	p.connection.Close()
}

// giveUp makes the predecessor take its lock again and serve on, unless it was told to go.
func (p *predecessor) giveUp() { p.connection.Close() }

func calledOff(ctx context.Context, path string) error {
	return fmt.Errorf("listening on %s was called off: %w", path, ctx.Err())
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
