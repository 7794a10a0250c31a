// Package client is the connect-go client: the transport over a socket, the greetings, and the interop cases.
package client

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/samehost"
	"example.com/samehost/go-connect/internal/compression"
	"example.com/samehost/go/interoptest"
)

// retryPause is how long to wait between two calls of a server that does not answer.
const retryPause = 100 * time.Millisecond

// Dial returns an HTTP client of the server at a path.
func Dial(path string) *http.Client {
	return &http.Client{Transport: compression.Transport{RoundTripper: samehost.NewTransport(path)}}
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
func WaitForServer(ctx context.Context, path string) error {
	channel := Dial(path)
	defer channel.CloseIdleConnections()
	const procedure = "/" + grpchealth.HealthV1ServiceName + "/Check"
	health := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](
		channel, samehost.BaseURL+procedure, Options())
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
