// Package client is the connect-go client: the transport over a socket, the greetings, and the interop cases.
package client

import (
	"context"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/samehost/go-connect/internal/compression"
	"example.com/samehost/go/interoptest"
	"example.com/samehost/go/socket"
)

// BaseURL is what every client is made with. Its host is the :authority of all calls, and nothing is looked up.
const BaseURL = "http://localhost"

// retryPause is how long to wait between two attempts to reach a server; dialling a socket costs next to nothing.
const retryPause = 100 * time.Millisecond

// Dial gives an HTTP client to the server at a socket. Nothing is dialled before the first call. While nobody listens, a
// call waits until its deadline, as one that waits for ready does with other gRPC libraries; connect-go has no such calls.
func Dial(address socket.Address) *http.Client {
	// HTTP/2 without TLS, with prior knowledge.
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialPatiently(ctx, address)
		},
		// One connection for all calls, as other gRPC libraries have it: otherwise every call dials that is made before
		// the first connection is there, and so does one more than the server allows at once.
		MaxConnsPerHost: 1,
		HTTP2:           &http.HTTP2Config{StrictMaxConcurrentRequests: true},
	}
	return &http.Client{Transport: compression.Transport{RoundTripper: transport}}
}

// dialPatiently dials until somebody listens, unless waiting could not help. Its context is not a call's: net/http lets it
// go on when the call has ended, for the next one, until CloseIdleConnections.
func dialPatiently(ctx context.Context, address socket.Address) (net.Conn, error) {
	for {
		dialled, err := (&net.Dialer{}).DialContext(ctx, "unix", address.Path)
		if err == nil {
			return connection{dialled.(*net.UnixConn)}, nil
		}
		if socket.DiagnoseIncurable(address) != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

// Options are those of every client: gRPC's protocol in place of Connect's, and no longer messages than gRPC takes.
func Options() connect.ClientOption {
	return connect.WithClientOptions(
		connect.WithGRPC(),
		connect.WithReadMaxBytes(interoptest.MaxMessageBytes),
		connect.WithSendMaxBytes(interoptest.MaxMessageBytes),
	)
}

// WaitForServer returns when a server at the socket has answered, whatever it says, even UNIMPLEMENTED; it calls again
// where a connection is lost before there is an answer.
func WaitForServer(ctx context.Context, address socket.Address) error {
	channel := Dial(address)
	defer channel.CloseIdleConnections()
	const procedure = "/" + grpchealth.HealthV1ServiceName + "/Check"
	health := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](
		channel, BaseURL+procedure, Options())
	for {
		_, err := health.CallUnary(ctx, connect.NewRequest(&healthpb.HealthCheckRequest{}))
		switch err := asStatus(err); status.Code(err) {
		case codes.DeadlineExceeded, codes.Canceled:
			return err
		case codes.Unavailable:
		default:
			return nil
		}
		select {
		case <-ctx.Done():
			return asStatus(err)
		case <-time.After(retryPause):
		}
	}
}
