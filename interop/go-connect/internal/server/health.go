package server

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const healthServiceName = grpchealth.HealthV1ServiceName

// health is grpchealth's service with another Watch. grpchealth's Watch only ends when the caller cancels it, and Shutdown
// waits for it.
type health struct {
	checker  *grpchealth.StaticChecker
	services map[string]bool
	ended    chan struct{}
}

// newHealth reports SERVING for these services and for "", the server as a whole.
func newHealth(services []string) *health {
	health := &health{grpchealth.NewStaticChecker(services...), map[string]bool{"": true}, make(chan struct{})}
	for _, name := range services {
		health.services[name] = true
	}
	return health
}

func (h *health) end() {
	for name := range h.services {
		h.checker.SetStatus(name, grpchealth.StatusNotServing)
	}
	close(h.ended)
}

func (h *health) checkHandler(options ...connect.HandlerOption) (string, http.Handler) {
	return grpchealth.NewHandler(h.checker, options...)
}

func (h *health) watchHandler(options ...connect.HandlerOption) (string, http.Handler) {
	const procedure = "/" + healthServiceName + "/Watch"
	return procedure, connect.NewServerStreamHandlerSimple(procedure, h.watch, options...)
}

// watch sends the status at once, and again when the server ends. The status never changes otherwise.
func (h *health) watch(
	ctx context.Context, request *healthpb.HealthCheckRequest, stream *connect.ServerStream[healthpb.HealthCheckResponse],
) error {
	now, last := healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	if !h.services[request.GetService()] {
		now, last = healthpb.HealthCheckResponse_SERVICE_UNKNOWN, healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-h.ended:
	}
	if last == now {
		return nil
	}
	return stream.Send(&healthpb.HealthCheckResponse{Status: last})
}
