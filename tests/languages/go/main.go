// Command echo serves and calls EchoService with the library: echo serve PATH, echo call PATH TEXT.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"

	echov1 "example.com/echo/gen"
	"example.com/samehost"
	"example.com/samehost/samehostgrpc"
)

type echo struct {
	echov1.UnimplementedEchoServiceServer
}

func (echo) Echo(_ context.Context, request *echov1.EchoRequest) (*echov1.EchoResponse, error) {
	return &echov1.EchoResponse{Text: request.GetText()}, nil
}

func main() {
	var err error
	if os.Args[1] == "serve" {
		err = serve(os.Args[2])
	} else {
		err = call(os.Args[2], os.Args[3])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(path string) error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	listener, err := samehost.Listen(stop, path, samehost.Options{})
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	echov1.RegisterEchoServiceServer(server, echo{})
	go func() { _ = server.Serve(listener) }()
	fmt.Println("listening on", path)
	<-stop.Done()
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	listener.Drain(grace, server.GracefulStop, server.Stop)
	return nil
}

func call(path, text string) error {
	channel, err := samehostgrpc.NewClient(path)
	if err != nil {
		return err
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := echov1.NewEchoServiceClient(channel).Echo(ctx, &echov1.EchoRequest{Text: text})
	if err != nil {
		return err
	}
	fmt.Println(response.GetText())
	return nil
}
