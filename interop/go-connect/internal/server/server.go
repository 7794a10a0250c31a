// Package server is the connect-go server of all services.
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

// maxCalls is how many calls a connection may have in progress; net/http's default is 250.
const maxCalls = 10_000

// Server is an http.Server with gRPC's services, and the order in which it ends.
type Server struct {
	*http.Server
	health *health
}

// New makes a server of all services; serve a samehost.Listener with it.
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

	// HTTP/2 without TLS, with prior knowledge; and no HTTP/1, in which there is no gRPC.
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

// EndHealth says NOT_SERVING from now on, and ends every Watch.
func (s *Server) EndHealth() { s.health.end() }

// Drain is graceful: Shutdown lets calls in progress finish.
func (s *Server) Drain(ctx context.Context, listener *samehost.Listener) {
	listener.DrainHTTP(ctx, s.Server)
}

// unimplemented answers calls of services that are not served, where http.ServeMux says 404.
func unimplemented(writer http.ResponseWriter, request *http.Request) {
	err := connect.NewError(connect.CodeUnimplemented, errors.New("no service of this name is served here"))
	if errors := connect.NewErrorWriter(); errors.IsSupported(request) {
		_ = errors.Write(writer, request, err)
		return
	}
	http.NotFound(writer, request)
}
