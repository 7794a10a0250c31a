package samehostgrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
)

// sendWhole keeps a call whose requests could not all be sent from being answered as if they were all.
//
// Where a connection breaks before a call's headers are written, Send says io.EOF, so that nothing more is sent; then
// RecvMsg finds that no server has seen the call, makes it again with what was sent until then (gRFC A6), and CloseAndRecv
// ends it there. (The status of such a stream is nil, which withRetry of grpc-go's stream.go takes for an OK of the server.)
// So after io.EOF a call is not made again, and ends with UNAVAILABLE.
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
