package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

// responseFlags records whether each response of a channel was compressed. Only a stats handler can see this in grpc-go.
// It runs before the response is returned.
type responseFlags struct{ compressed []bool }

func (f *responseFlags) HandleRPC(_ context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		// The lengths are equal if the compressed flag of the message is not set.
		f.compressed = append(f.compressed, payload.CompressedLength != payload.Length)
	}
}

func (*responseFlags) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*responseFlags) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*responseFlags) HandleConn(context.Context, stats.ConnStats)                       {}

// sendBoth sends one compressed and one uncompressed message in one call. grpc-go compresses all messages of a call or
// none. But a PreparedMsg is encoded for the stream that it is given, so the second message is encoded for a stream without
// gzip.
func sendBoth(
	ctx context.Context, stub testpb.TestServiceClient, compressed, plain *testpb.StreamingInputCallRequest,
) (*testpb.StreamingInputCallResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	withoutGzip, err := stub.StreamingInputCall(ctx)
	if err != nil {
		return nil, err
	}
	prepared := &grpc.PreparedMsg{}
	if err := prepared.Encode(withoutGzip, plain); err != nil {
		return nil, err
	}
	stream, err := stub.StreamingInputCall(ctx, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return nil, err
	}
	for _, message := range []any{compressed, prepared} {
		if err := stream.SendMsg(message); err != nil {
			break // CloseAndRecv returns the status
		}
	}
	return stream.CloseAndRecv()
}
