// Command server is a gRPC server on a Unix domain socket: server [PATH].
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"

	greeterv1 "example.com/greeter/gen/samehost/greeter/v1"
)

type greeter struct {
	greeterv1.UnimplementedGreeterServiceServer
}

func (greeter) Greet(_ context.Context, request *greeterv1.GreetRequest) (*greeterv1.GreetResponse, error) {
	return &greeterv1.GreetResponse{Message: fmt.Sprintf("Hello, %s!", request.GetName())}, nil
}

func main() {
	path := "/tmp/greeter.sock"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	_ = os.Remove(path) // the file of a killed server
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	greeterv1.RegisterGreeterServiceServer(server, greeter{})
	fmt.Println("listening on", path)
	log.Fatal(server.Serve(listener))
}
