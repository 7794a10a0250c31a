package samehostgrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
)

// sendWhole prevents an answer to a part of the requests of a call.
//
// If a connection breaks before the headers of a call are written, Send returns io.EOF and the caller stops sending. Then
// RecvMsg finds that no server has seen the call, and retries it with the requests so far (gRFC A6). CloseAndRecv then
// ends the call, and the server answers that part. (The status of the broken stream is nil, and withRetry in stream.go of
// grpc-go takes nil for an OK from the server.) So sendWhole disables retries after io.EOF, and the call ends with
// UNAVAILABLE.
func sendWhole(
	ctx context.Context, description *grpc.StreamDesc, channel *grpc.ClientConn, method string, next grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := next(ctx, description, channel, method, options...)
	if err != nil {
		return nil, err
	}
	return wholeStream{stream}, nil
}

type wholeStream struct{ grpc.ClientStream }

func (s wholeStream) SendMsg(message any) error {
	err := s.ClientStream.SendMsg(message)
	if errors.Is(err, io.EOF) {
		_ = s.Context() // "Once called, subsequent client-side retries are disabled."
	}
	return err
}
