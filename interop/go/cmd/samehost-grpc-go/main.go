// Command samehost-grpc-go serves, greets and runs the interop cases with grpc-go over a Unix domain socket.
package main

import (
	"google.golang.org/grpc"

	"example.com/samehost/go/internal/client"
	"example.com/samehost/go/internal/server"
	"example.com/samehost/go/peer"
)

func main() {
	program := peer.Peer{
		Program:       "samehost-grpc-go",
		Library:       "grpc-go",
		Version:       grpc.Version,
		NewServer:     func() peer.Server { return server.New() },
		WaitForServer: client.WaitForServer,
		Greet:         client.Greet,
		Cases:         client.Cases,
	}
	program.Main()
}
