package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/samehost/samehostgrpc"
)

// WaitForServer returns when a server on the socket has answered with any status, such as UNIMPLEMENTED.
func WaitForServer(ctx context.Context, path string) error {
	channel, err := samehostgrpc.NewClient(path)
	if err != nil {
		return err
	}
	defer channel.Close()
	_, err = healthpb.NewHealthClient(channel).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	if status.Code(err) == codes.DeadlineExceeded {
		return err
	}
	return nil
}
