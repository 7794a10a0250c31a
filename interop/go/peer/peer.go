// Package peer implements the program that PROTOCOL.md specifies: the commands serve, greet and interop, their exit codes,
// and errors of one line.
package peer

import (
	"context"
	"net"
	"time"

	"example.com/samehost"
	"example.com/samehost/go/greeting"
	"example.com/samehost/go/interoptest"
)

// Peer is the part of a program that depends on the gRPC library.
type Peer struct {
	Program string
	Library string // name in the ready line
	Version string // of the library

	NewServer func() Server
	// WaitForServer returns when a server has answered. Its error is the status of the last attempt.
	WaitForServer func(ctx context.Context, path string) error
	// Greet makes all four kinds of call of GreeterService, each within the timeout.
	Greet func(ctx context.Context, path string, name string, timeout time.Duration, report greeting.Report) error
	Cases interoptest.Cases
}

// Server is a server of all services of a peer. Each method is called once, in this order.
type Server interface {
	// Serve accepts connections until Drain.
	Serve(listener net.Listener) error
	// EndHealth reports NOT_SERVING from now on and ends every Watch.
	EndHealth()
	// Drain stops the server and its listener.
	Drain(ctx context.Context, listener *samehost.Listener) error
}
