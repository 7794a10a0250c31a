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
	// silenceTime is how long a server that stops waits for connections on which nothing was said yet.
	silenceTime = time.Second
	// cutTime is how long it may take to cut what is left when the context is done.
	cutTime = time.Second
	// sweepTime is how long Shutdown waits before it is called again.
	sweepTime = time.Second
)

// Drain stops a server without refusing a call that was already sent. It removes the path, so that a successor may start,
// and calls graceful, which lets calls in progress finish. When the context is done, it calls cut, which must make
// graceful return. With grpc-go:
//
//	listener.Drain(ctx, server.GracefulStop, server.Stop)
//
// It returns 1 s after the context is done at the latest, whatever clients and handlers do.
func (l *Listener) Drain(ctx context.Context, graceful, cut func()) {
	l.withdraw()
	defer time.AfterFunc(silenceTime, l.hangUpOnSilent).Stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		graceful()
	}()
	select {
	case <-stopped:
		return
	case <-ctx.Done():
	}
	go cut()
	select {
	case <-stopped:
	case <-time.After(cutTime):
	}
}

// DrainHTTP is Drain for a server of net/http, on which connect-go is built.
//
// Shutdown tells clients with a GOAWAY frame which of their calls are answered; those that they sent later were not
// begun, so that a client may make them again elsewhere. A connection that is just being made misses it (golang/go
// 81153), so it is sent again and again.
func (l *Listener) DrainHTTP(ctx context.Context, server *http.Server) {
	l.Drain(ctx, func() {
		for ctx.Err() == nil {
			sweep, cancel := context.WithTimeout(ctx, sweepTime)
			err := server.Shutdown(sweep)
			cancel()
			if err == nil {
				return
			}
		}
		_ = server.Close()
	}, func() {})
}

// conn is a connection that knows whether the client has said anything yet.
type conn struct {
	*net.UnixConn
	listener *Listener
	spoke    atomic.Bool
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
	made := &conn{UnixConn: accepted, listener: l}
	l.silent.Store(made, nil)
	return made, nil
}

// hangUpOnSilent closes the connections on which nothing was said yet. A server that stops gracefully waits for them, as
// they may be about to call: grpc-go for 120 s, net/http for 5 s. Giving every connection less time from the start is
// no cure: a client that is busy takes seconds from dialling to speaking.
func (l *Listener) hangUpOnSilent() {
	l.silent.Range(func(silent, _ any) bool {
		_ = silent.(*conn).Close()
		return true
	})
}

// LocalAddr returns the path, as the listener's Addr does.
func (c *conn) LocalAddr() net.Addr { return c.listener.Addr() }

func (c *conn) Read(piece []byte) (int, error) {
	size, err := c.UnixConn.Read(piece)
	if size > 0 && c.spoke.CompareAndSwap(false, true) {
		c.listener.silent.Delete(c)
	}
	return size, err
}

func (c *conn) Close() error {
	c.listener.silent.Delete(c)
	return c.UnixConn.Close()
}
