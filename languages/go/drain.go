package samehost

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// silenceTime is how long Drain waits for connections on which the client has sent nothing yet.
	silenceTime = time.Second
	// cutTime is how long cut may take after the context is done.
	cutTime = time.Second
	// sweepTime is how long Shutdown waits before it is called again.
	sweepTime = time.Second
)

// Drain stops a server without refusing a call that was already sent. It removes the path, so that a successor can start.
// It then calls graceful, which lets calls in progress finish. When the context is done, it calls cut, which must make
// graceful return. With grpc-go:
//
//	listener.Drain(ctx, server.GracefulStop, server.Stop)
//
// It returns nil if graceful returned before the context was done, and otherwise the error of the context, as
// [http.Server.Shutdown] does. It returns at most 1 s after the context is done, even if graceful does not return.
func (l *Listener) Drain(ctx context.Context, graceful, cut func()) error {
	return l.drain(ctx, func() error {
		graceful()
		return nil
	}, cut)
}

// drain is Drain with a graceful that returns an error if it cut off calls itself.
func (l *Listener) drain(ctx context.Context, graceful func() error, cut func()) error {
	l.withdraw()
	defer time.AfterFunc(silenceTime, l.closeSilent).Stop()
	stopped := make(chan error, 1)
	go func() { stopped <- graceful() }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	go cut()
	select {
	case <-stopped:
	case <-time.After(cutTime):
	}
	return ctx.Err()
}

// DrainHTTP is [Listener.Drain] for a server of net/http, which connect-go uses.
//
// Shutdown sends a GOAWAY frame, which tells clients the last call that is answered. The server did not start later
// calls, so clients can retry them on a new connection. A connection that is being established misses the GOAWAY
// (golang/go 81153), so DrainHTTP calls Shutdown repeatedly.
func (l *Listener) DrainHTTP(ctx context.Context, server *http.Server) error {
	return l.drain(ctx, func() error {
		for ctx.Err() == nil {
			sweep, cancel := context.WithTimeout(ctx, sweepTime)
			err := server.Shutdown(sweep)
			cancel()
			if err == nil {
				return nil
			}
		}
		_ = server.Close()
		return ctx.Err()
	}, func() {})
}

// conn is a connection that records whether the client has sent anything yet.
type conn struct {
	*net.UnixConn
	listener *Listener
	hasSent  atomic.Bool
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	accepted, err := l.unix.AcceptUnix()
	if err != nil {
		var failed *net.OpError
		if errors.As(err, &failed) {
			failed.Addr = l.Addr()
		}
		return nil, err
	}
	connection := &conn{UnixConn: accepted, listener: l}
	l.silent.Store(connection, nil)
	return connection, nil
}

// closeSilent closes the connections on which the client has sent nothing yet. A graceful stop waits for their first
// call: 120 s in grpc-go, 5 s in net/http. A shorter handshake timeout for every connection would break busy clients,
// which can take seconds from dialing to their first byte.
func (l *Listener) closeSilent() {
	l.silent.Range(func(silent, _ any) bool {
		_ = silent.(*conn).Close()
		return true
	})
}

// LocalAddr returns the path, as the listener's Addr does.
func (c *conn) LocalAddr() net.Addr { return c.listener.Addr() }

func (c *conn) Read(piece []byte) (int, error) {
	size, err := c.UnixConn.Read(piece)
	if size > 0 && c.hasSent.CompareAndSwap(false, true) {
		c.listener.silent.Delete(c)
	}
	return size, err
}

func (c *conn) Close() error {
	c.listener.silent.Delete(c)
	return c.UnixConn.Close()
}
