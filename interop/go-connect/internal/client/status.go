package client

import (
	"errors"
	"syscall"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// asStatus converts an error of connect-go to a gRPC status with the same code. If no gRPC server has answered, and no HTTP
// status has a matching code, the status is UNAVAILABLE, as in other libraries.
func asStatus(err error) error {
	var failed *connect.Error
	if !errors.As(err, &failed) {
		return err
	}
	code := codes.Code(failed.Code())
	if !connect.IsWireError(err) && (code == codes.Unknown || code == codes.Internal || isConnectionLost(err)) {
		code = codes.Unavailable
	}
	return status.Error(code, failed.Message())
}

// isConnectionLost reports whether the server closed the connection. connect-go returns CANCELED for this, because it takes
// the other side for a client that disconnected, even in a client (error.go, isClientDisconnected).
func isConnectionLost(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
