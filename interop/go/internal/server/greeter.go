package server

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
	"example.com/samehost/go/greeting"
)

// greeterService serves GreeterService with the answers of package greeting.
type greeterService struct {
	greeterv1.UnimplementedGreeterServiceServer
}

func (greeterService) Greet(_ context.Context, request *greeterv1.GreetRequest) (*greeterv1.GreetResponse, error) {
	response, err := greeting.Greet(request)
	return response, invalid(err)
}

func (greeterService) GreetInLanguages(
	request *greeterv1.GreetInLanguagesRequest,
	stream grpc.ServerStreamingServer[greeterv1.GreetInLanguagesResponse],
) error {
	responses, err := greeting.InLanguages(request)
	if err != nil {
		return invalid(err)
	}
	for i, response := range responses {
		if i > 0 {
			if err := greeting.Pause(stream.Context(), request.GetInterval().AsDuration()); err != nil {
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
	stream grpc.ClientStreamingServer[greeterv1.GreetTogetherRequest, greeterv1.GreetTogetherResponse],
) error {
	var names []string
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := greeting.CheckName(request.GetName()); err != nil {
			return invalid(err)
		}
		names = append(names, request.GetName())
	}
	response, err := greeting.Together(names)
	if err != nil {
		return invalid(err)
	}
	return stream.SendAndClose(response)
}

func (greeterService) Converse(
	stream grpc.BidiStreamingServer[greeterv1.ConverseRequest, greeterv1.ConverseResponse],
) error {
	for turn := uint32(1); ; turn++ {
		request, err := stream.Recv()
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
	return status.Error(codes.InvalidArgument, err.Error())
}
