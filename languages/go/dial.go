package samehost

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// BaseURL is the URL of every server for a client that uses [NewTransport]. Its host is sent as :authority and is never
// resolved.
const BaseURL = "http://localhost"

// retryPause is the time between two attempts to connect. It is short because dialing a socket is cheap.
const retryPause = 100 * time.Millisecond

// NewTransport returns an HTTP/2 transport without TLS to the server on a path, for clients of connect-go. It connects on
// the first call, which fails with [ErrAddress] if the path is invalid. While no server listens, a call waits until its
// deadline. Other gRPC libraries have the option wait-for-ready for this, and connect-go has none.
func NewTransport(path string) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols:   protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialPatiently(ctx, path) },
		// All calls share one connection, as in other gRPC libraries. Otherwise each call that starts before the first
		// connection is ready dials its own, and so does each call above the server's limit of concurrent calls.
		MaxConnsPerHost: 1,
		HTTP2:           &http.HTTP2Config{StrictMaxConcurrentRequests: true},
	}
}

// dialPatiently dials until a server listens, unless waiting cannot help. Its context is not the context of a call:
// net/http continues to dial for the next call when a call has ended, until CloseIdleConnections.
func dialPatiently(ctx context.Context, path string) (net.Conn, error) {
	path, err := ParseAddress(path)
	if err != nil {
		return nil, err
	}
	for {
		dialed, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return connection{dialed.(*net.UnixConn)}, nil
		}
		if err := Probe(path); err != nil && !errors.Is(err, ErrNoServer) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

// connection is a connection whose answers can be read to the end after the server closes it.
//
// A server that drains closes a connection after its last answer, while the client may still send a WINDOW_UPDATE or a
// call. That write fails although answers wait to be read, and net/http then closes the connection and loses them. So
// such a write reports success. Reading continues to the end of the connection, which fails every call without an answer.
// (This does not help over TCP, where a reset discards unread data.)
type connection struct{ *net.UnixConn }

func (c connection) Write(piece []byte) (int, error) {
	size, err := c.UnixConn.Write(piece)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(piece), nil
	}
	return size, err
}
