// Package server implements all services with grpc-go.
package server

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/reflection"

	"example.com/samehost"
	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/interoptest"

	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
)

// Server is a grpc.Server with all services.
type Server struct {
	*grpc.Server
	health *healthService
}

// New returns a server with all services. Serve a samehost.Listener with it.
func New() *Server {
	server := grpc.NewServer(
		grpc.StatsHandler(compressionHandler{}),
		orca.CallMetricsServerOption(nil),
	)
	reports := &interoptest.LoadReports{}
	greeterv1.RegisterGreeterServiceServer(server, greeterService{})
	testpb.RegisterTestServiceServer(server, newInteropService(reports))
	orcaservice.RegisterOpenRcaServiceServer(server, orcaService{reports: reports})
	health := newHealthService(slices.Collect(maps.Keys(server.GetServiceInfo())))
	healthpb.RegisterHealthServer(server, health)
	reflection.Register(server)
	return &Server{server, health}
}

// EndHealth reports NOT_SERVING from now on and ends every Watch.
func (s *Server) EndHealth() { s.health.end() }

// Drain stops the server gracefully. GracefulStop sends two GOAWAY frames with a ping between them, so that clients stop
// calling on the connection. It answers every call that they sent before, unless the context is done first.
func (s *Server) Drain(ctx context.Context, listener *samehost.Listener) error {
	return listener.Drain(ctx, s.GracefulStop, s.Stop)
}
