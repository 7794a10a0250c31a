package client

import (
	"context"
	"errors"
	"io"
	"time"

	"example.com/samehost"
	"example.com/samehost/go-connect/gen/samehost/greeter/v1/greeterv1connect"
	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
	"example.com/samehost/go/greeting"
)

// Greet makes all four kinds of call, each within the timeout.
func Greet(ctx context.Context, path string, name string, timeout time.Duration, report greeting.Report) error {
	channel := Dial(path)
	defer channel.CloseIdleConnections()
	greeter := greeterv1connect.NewGreeterServiceClient(channel, samehost.BaseURL, Options())
	for _, call := range []func(context.Context, greeterv1connect.GreeterServiceClient, string) (greeting.Exchange, error){
		greet, greetInLanguages, greetTogether, converse,
	} {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		exchange, err := call(ctx, greeter, name)
		cancel()
		if err != nil {
			return asStatus(err)
		}
		if err := report(exchange); err != nil {
			return err
		}
	}
	return nil
}

func greet(ctx context.Context, greeter greeterv1connect.GreeterServiceClient, name string) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "Greet", Sent: []string{name}}
	response, err := greeter.Greet(ctx, &greeterv1.GreetRequest{Name: name})
	exchange.Received = []string{response.GetMessage()}
	return exchange, err
}

func greetInLanguages(
	ctx context.Context, greeter greeterv1connect.GreeterServiceClient, name string,
) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "GreetInLanguages", Sent: []string{name}}
	stream, err := greeter.GreetInLanguages(ctx, &greeterv1.GreetInLanguagesRequest{Name: name})
	if err != nil {
		return exchange, err
	}
	defer stream.Close()
	for stream.Receive() {
		response := stream.Msg()
		exchange.Received = append(exchange.Received, response.GetLanguage()+": "+response.GetMessage())
	}
	return exchange, stream.Err()
}

func greetTogether(
	ctx context.Context, greeter greeterv1connect.GreeterServiceClient, name string,
) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "GreetTogether", Sent: greeting.Party(name)}
	stream, err := greeter.GreetTogether(ctx)
	if err != nil {
		return exchange, err
	}
	for _, each := range exchange.Sent {
		// EOF means that the call has ended. CloseAndReceive returns its status.
		if err := stream.Send(&greeterv1.GreetTogetherRequest{Name: each}); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return exchange, err
		}
	}
	response, err := stream.CloseAndReceive()
	exchange.Received = []string{response.GetMessage()}
	return exchange, err
}

func converse(ctx context.Context, greeter greeterv1connect.GreeterServiceClient, name string) (greeting.Exchange, error) {
	exchange := greeting.Exchange{Method: "Converse"}
	stream, err := greeter.Converse(ctx)
	if err != nil {
		return exchange, err
	}
	defer stream.CloseResponse()
	for {
		text := greeting.Conversation(name, exchange.Received)
		if text == "" {
			break
		}
		if err := stream.Send(&greeterv1.ConverseRequest{Text: text}); err != nil && !errors.Is(err, io.EOF) {
			return exchange, err
		}
		response, err := stream.Receive()
		if err != nil {
			return exchange, err
		}
		exchange.Sent = append(exchange.Sent, text)
		exchange.Received = append(exchange.Received, response.GetText())
	}
	if err := stream.CloseRequest(); err != nil {
		return exchange, err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return exchange, err
	}
	return exchange, nil
}
