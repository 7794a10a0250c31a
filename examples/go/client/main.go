// Command client is a gRPC client on a Unix domain socket: client PATH NAME.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	greeterv1 "example.com/greeter/gen/samehost/greeter/v1"
)

func main() {
	path, name := os.Args[1], os.Args[2]
	// With a unix: target, grpc-go sends "localhost" as :authority.
	channel, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := greeterv1.NewGreeterServiceClient(channel).Greet(ctx, &greeterv1.GreetRequest{Name: name})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.GetMessage())
}
