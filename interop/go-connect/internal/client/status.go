package client

import (
	"errors"
	"syscall"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// asStatus is an error of connect-go as a status of gRPC; the codes are the same. Where no gRPC server has answered, not
// even with a status of HTTP that has such a code, it is UNAVAILABLE, as it is with other libraries.
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

// isConnectionLost is whether the server has hung up, which connect-go calls CANCELED (error.go, isClientDisconnected): it
// takes it for a client that has left, whichever end it is at.
func isConnectionLost(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
