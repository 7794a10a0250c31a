// Package client implements the greetings and the interop cases with connect-go.
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

// retryPause is the time between two calls to a server that does not answer.
const retryPause = 100 * time.Millisecond

// Dial returns an HTTP client for the server on a path.
func Dial(path string) *http.Client {
	return &http.Client{Transport: compression.Transport{RoundTripper: samehost.NewTransport(path)}}
}

// Options returns the options of every client: the gRPC protocol instead of Connect's, and gRPC's limit of message sizes.
func Options() connect.ClientOption {
	return connect.WithClientOptions(
		connect.WithGRPC(),
		connect.WithReadMaxBytes(interoptest.MaxMessageBytes),
		connect.WithSendMaxBytes(interoptest.MaxMessageBytes),
	)
}

// WaitForServer returns when a server on the socket has answered with any status, such as UNIMPLEMENTED. It retries when a
// connection breaks before the answer.
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
