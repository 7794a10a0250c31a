// Package peer is the program that every implementation is, as PROTOCOL.md has it: the commands serve, greet and
// interop, their exit codes, and errors of one line.
package peer

import (
	"context"
	"net"
	"time"

	"example.com/samehost"
	"example.com/samehost/go/greeting"
	"example.com/samehost/go/interoptest"
)

// Peer is what differs from one gRPC library to the next.
type Peer struct {
	Program string
	Library string // as the ready line names it
	Version string // of the library

	NewServer func() Server
	// WaitForServer returns when a server has answered; its error is the status of the last attempt.
	WaitForServer func(ctx context.Context, path string) error
	// Greet makes all four kinds of call of Greeter, each within the timeout.
	Greet func(ctx context.Context, path string, name string, timeout time.Duration, say greeting.Say) error
	Cases interoptest.Cases
}

// Server serves everything that a peer serves. Its methods are called once each, in this order.
type Server interface {
	// Serve accepts connections until Stop.
	Serve(listener net.Listener) error
	// EndHealth says NOT_SERVING from now on, and ends every Watch.
	EndHealth()
	// Drain drains the listener with this server.
	Drain(ctx context.Context, listener *samehost.Listener)
}
