// Package server implements all services with connect-go.
package server

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"example.com/samehost"
	"example.com/samehost/go-connect/gen/samehost/greeter/v1/greeterv1connect"
	"example.com/samehost/go-connect/gen/samehost/interop/interopconnect"
	"example.com/samehost/go-connect/internal/compression"
	"example.com/samehost/go/interoptest"
)

// maxCalls is the limit of concurrent calls on a connection. The default of net/http is 250.
const maxCalls = 10_000

// Server is an http.Server with all services.
type Server struct {
	*http.Server
	health *health
}

// New returns a server with all services. Serve a samehost.Listener with it.
func New() *Server {
	options := connect.WithHandlerOptions(
		connect.WithReadMaxBytes(interoptest.MaxMessageBytes),
		connect.WithSendMaxBytes(interoptest.MaxMessageBytes),
		compression.Off,
	)
	services := []string{
		greeterv1connect.GreeterServiceName,
		interopconnect.TestServiceName,
		orcaServiceName,
	}
	reports := &interoptest.LoadReports{}
	health := newHealth(services)
	reflector := grpcreflect.NewStaticReflector(append(services, healthServiceName)...)

	mux := http.NewServeMux()
	mux.Handle(greeterv1connect.NewGreeterServiceHandler(greeterService{}, options))
	mux.Handle(interopconnect.NewTestServiceHandler(newInteropService(reports), options))
	mux.Handle(newOrcaHandler(reports, options))
	mux.Handle(health.checkHandler(options))
	mux.Handle(health.watchHandler(options))
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options))
	mux.HandleFunc("/", unimplemented)

	// Accept only HTTP/2 without TLS and with prior knowledge. gRPC does not work over HTTP/1.
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return &Server{
		Server: &http.Server{
			Handler:   compression.Handler(mux),
			Protocols: protocols,
			HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: maxCalls},
		},
		health: health,
	}
}

// EndHealth reports NOT_SERVING from now on and ends every Watch.
func (s *Server) EndHealth() { s.health.end() }

// Drain stops the server gracefully and lets calls in progress finish.
func (s *Server) Drain(ctx context.Context, listener *samehost.Listener) error {
	return listener.DrainHTTP(ctx, s.Server)
}

// unimplemented answers calls to unknown services with UNIMPLEMENTED. http.ServeMux would return 404.
func unimplemented(writer http.ResponseWriter, request *http.Request) {
	err := connect.NewError(connect.CodeUnimplemented, errors.New("the server does not have this service"))
	if errors := connect.NewErrorWriter(); errors.IsSupported(request) {
		_ = errors.Write(writer, request, err)
		return
	}
	http.NotFound(writer, request)
}
