package server

import (
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthService is grpc-go's health service with another Watch. grpc-go's Watch only ends when the caller cancels it, and
// GracefulStop waits for it.
type healthService struct {
	*health.Server
	services map[string]bool
	ended    chan struct{}
}

// newHealthService reports SERVING for these services and for "", the server as a whole.
func newHealthService(services []string) *healthService {
	service := &healthService{health.NewServer(), map[string]bool{"": true}, make(chan struct{})}
	for _, name := range services {
		service.services[name] = true
		service.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	return service
}

func (s *healthService) end() {
	s.Shutdown()
	close(s.ended)
}

// Watch sends the status at once, and again when the server ends. The status never changes otherwise.
func (s *healthService) Watch(request *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	now, last := healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	if !s.services[request.GetService()] {
		now, last = healthpb.HealthCheckResponse_SERVICE_UNKNOWN, healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
		return err
	}
	select {
	case <-stream.Context().Done():
		return nil
	case <-s.ended:
	}
	if last == now {
		return nil
	}
	return stream.Send(&healthpb.HealthCheckResponse{Status: last})
}
