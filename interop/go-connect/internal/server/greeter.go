package server

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
	"example.com/samehost/go/greeting"
)

// greeterService serves GreeterService with the answers of package greeting.
type greeterService struct{}

func (greeterService) Greet(_ context.Context, request *greeterv1.GreetRequest) (*greeterv1.GreetResponse, error) {
	response, err := greeting.Greet(request)
	return response, invalid(err)
}

func (greeterService) GreetInLanguages(
	ctx context.Context,
	request *greeterv1.GreetInLanguagesRequest,
	stream *connect.ServerStream[greeterv1.GreetInLanguagesResponse],
) error {
	responses, err := greeting.InLanguages(request)
	if err != nil {
		return invalid(err)
	}
	for i, response := range responses {
		if i > 0 {
			if err := greeting.Pause(ctx, request.GetInterval().AsDuration()); err != nil {
				return err
			}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return nil
}

func (greeterService) GreetTogether(
	_ context.Context, stream *connect.ClientStream[greeterv1.GreetTogetherRequest],
) (*greeterv1.GreetTogetherResponse, error) {
	var names []string
	for stream.Receive() {
		name := stream.Msg().GetName()
		if err := greeting.CheckName(name); err != nil {
			return nil, invalid(err)
		}
		names = append(names, name)
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	response, err := greeting.Together(names)
	return response, invalid(err)
}

func (greeterService) Converse(
	_ context.Context, stream *connect.BidiStream[greeterv1.ConverseRequest, greeterv1.ConverseResponse],
) error {
	for turn := uint32(1); ; turn++ {
		request, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		response, err := greeting.Answer(request, turn)
		if err != nil {
			return invalid(err)
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return connect.NewError(connect.CodeInvalidArgument, err)
}
