// Command samehost-connect-go serves, greets and runs the interop cases with connect-go over a Unix domain socket.
package main

import (
	"connectrpc.com/connect"

	"example.com/samehost/go-connect/internal/client"
	"example.com/samehost/go-connect/internal/server"
	"example.com/samehost/go/peer"
)

func main() {
	program := peer.Peer{
		Program:       "samehost-connect-go",
		Library:       "connect-go",
		Version:       connect.Version,
		NewServer:     func() peer.Server { return server.New() },
		WaitForServer: client.WaitForServer,
		Greet:         client.Greet,
		Cases:         client.Cases,
	}
	program.Main()
}
