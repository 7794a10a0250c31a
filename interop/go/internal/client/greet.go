package client

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
	"example.com/samehost/go/greeting"
	"example.com/samehost/samehostgrpc"
)

// Greet makes all four kinds of call, each within the timeout, which includes the wait for the server.
func Greet(ctx context.Context, path string, name string, timeout time.Duration, report greeting.Report) error {
	channel, err := samehostgrpc.NewClient(path, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer channel.Close()
	greeter := greeterv1.NewGreeterServiceClient(channel)
	for _, call := range []func(context.Context, greeterv1.GreeterServiceClient, string) (greeting.Exchange, error){
		greet, greetInLanguages, greetTogether, converse,
	} {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		exchange, err := call(ctx, greeter, name)
		cancel()
		if err != nil {
			return err
		}
		if err := report(exchange); err != nil {
			return err
		}
	}
	return nil
}

func greet(ctx context.Context, greeter greeterv1.GreeterServiceClient, name string) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "Greet", Sent: []string{name}}
	response, err := greeter.Greet(ctx, &greeterv1.GreetRequest{Name: name})
	exchange.Received = []string{response.GetMessage()}
	return exchange, err
}

func greetInLanguages(
	ctx context.Context, greeter greeterv1.GreeterServiceClient, name string,
) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "GreetInLanguages", Sent: []string{name}}
	stream, err := greeter.GreetInLanguages(ctx, &greeterv1.GreetInLanguagesRequest{Name: name})
	if err != nil {
		return exchange, err
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return exchange, nil
		}
		if err != nil {
			return exchange, err
		}
		exchange.Received = append(exchange.Received, response.GetLanguage()+": "+response.GetMessage())
	}
}

func greetTogether(
	ctx context.Context, greeter greeterv1.GreeterServiceClient, name string,
) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "GreetTogether", Sent: greeting.Party(name)}
	stream, err := greeter.GreetTogether(ctx)
	if err != nil {
		return exchange, err
	}
	for _, each := range exchange.Sent {
		// EOF means that the call has ended. CloseAndRecv returns its status.
		if err := stream.Send(&greeterv1.GreetTogetherRequest{Name: each}); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return exchange, err
		}
	}
	response, err := stream.CloseAndRecv()
	exchange.Received = []string{response.GetMessage()}
	return exchange, err
}

func converse(ctx context.Context, greeter greeterv1.GreeterServiceClient, name string) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "Converse"}
	stream, err := greeter.Converse(ctx)
	if err != nil {
		return exchange, err
	}
	for {
		text := greeting.Conversation(name, exchange.Received)
		if text == "" {
			break
		}
		if err := stream.Send(&greeterv1.ConverseRequest{Text: text}); err != nil && !errors.Is(err, io.EOF) {
			return exchange, err
		}
		response, err := stream.Recv()
		if err != nil {
			return exchange, err
		}
		exchange.Sent = append(exchange.Sent, text)
		exchange.Received = append(exchange.Received, response.GetText())
	}
	if err := stream.CloseSend(); err != nil {
		return exchange, err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return exchange, err
	}
	return exchange, nil
}
