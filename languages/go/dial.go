package samehost

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// BaseURL is the URL of every server for a client on [NewTransport]. Its host is the :authority of all calls; nobody
// resolves it.
const BaseURL = "http://localhost"

// retryPause is how long to wait between two attempts to reach a server; dialling a socket costs next to nothing.
const retryPause = 100 * time.Millisecond

// NewTransport returns a transport of HTTP/2 without TLS to the server at a path, for clients of Connect. It connects at
// the first call, which fails with [ErrAddress] if the path is invalid. While no server listens, a call waits until its
// deadline, as wait-for-ready does in other gRPC libraries; connect-go has no such option.
func NewTransport(path string) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols:   protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialPatiently(ctx, path) },
		// One connection for all calls, as other gRPC libraries have it: otherwise every call dials that is made before
		// the first connection is there, and so does one more than the server allows at once.
		MaxConnsPerHost: 1,
		HTTP2:           &http.HTTP2Config{StrictMaxConcurrentRequests: true},
	}
}

// dialPatiently dials until somebody listens, unless waiting could not help. Its context is not a call's: net/http lets it
// go on when the call has ended, for the next one, until CloseIdleConnections.
func dialPatiently(ctx context.Context, path string) (net.Conn, error) {
	path, err := ParseAddress(path)
	if err != nil {
		return nil, err
	}
	for {
		dialled, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return connection{dialled.(*net.UnixConn)}, nil
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

// connection is one whose answers can be read to the end. A server that has moved its client away closes a connection as
// soon as the last answer is written, while the client still sends a WINDOW_UPDATE or a call. Such a write fails, although
// the answers wait to be read, and net/http then closes the connection and loses them. So a write that nobody will read is
// taken as done: reading goes on, and its end says the same to every call that got no answer. (Over TCP this can't be
// mended so: a reset there throws away what was not read.)
type connection struct{ *net.UnixConn }

func (c connection) Write(piece []byte) (int, error) {
	size, err := c.UnixConn.Write(piece)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(piece), nil
	}
	return size, err
}
