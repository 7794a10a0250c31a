package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

// responseFlags notes of each response of a channel whether it came compressed, which grpc-go shows to nobody else. It
// does so before the response is returned.
type responseFlags struct{ came []bool }

func (f *responseFlags) HandleRPC(_ context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		// The two are the same where the flag of the message is not set.
		f.came = append(f.came, payload.CompressedLength != payload.Length)
	}
}

func (*responseFlags) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*responseFlags) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*responseFlags) HandleConn(context.Context, stats.ConnStats)                       {}

// sendBoth sends one message compressed and one as it is, in one call. grpc-go compresses all messages of a call or
// none; but a PreparedMsg is encoded for the call that it is given, and so the second message for one without gzip.
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
			break // the status is in CloseAndRecv
		}
	}
	return stream.CloseAndRecv()
}
