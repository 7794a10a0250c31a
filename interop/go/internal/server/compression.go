package server

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/test/bufconn"
)

// compressionHandler records whether each request was compressed. Only a stats handler can see this in grpc-go. It runs
// before the service receives the request.
type compressionHandler struct{}

type wasCompressedKey struct{}

func (compressionHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, wasCompressedKey{}, new(bool))
}

func (compressionHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		if compressed, ok := ctx.Value(wasCompressedKey{}).(*bool); ok {
			// The lengths are equal if the compressed flag of the message is not set.
			*compressed = payload.CompressedLength != payload.Length
		}
	}
}

func (compressionHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (compressionHandler) HandleConn(context.Context, stats.ConnStats) {}

// wasCompressed reports whether the last request of this call was compressed.
func wasCompressed(ctx context.Context) bool {
	compressed, ok := ctx.Value(wasCompressedKey{}).(*bool)
	return ok && *compressed
}

// compress sets whether the responses of this call are compressed. Without it, they are compressed if the request was.
// Call it before the first response, because the headers name the compression.
func compress(ctx context.Context, compressed bool) error {
	if compressed {
		return grpc.SetSendCompressor(ctx, gzip.Name)
	}
	return grpc.SetSendCompressor(ctx, encoding.Identity)
}

// sendPlain sends an uncompressed response in a stream with compression.
func sendPlain(stream grpc.ServerStream, response any) error {
	plain, err := plainStream()
	if err != nil {
		return err
	}
	prepared := &grpc.PreparedMsg{}
	if err := prepared.Encode(plain, response); err != nil {
		return err
	}
	return stream.SendMsg(prepared)
}

// plainStream returns a stream without compression, for sendPlain. A PreparedMsg is encoded for the stream that it is given,
// not for the stream that sends it. Only a stream of grpc-go will do, and the stream of the call uses gzip. So this makes
// one call in memory to a server without services. The call ends at once, and its stream stays usable.
var plainStream = sync.OnceValues(func() (grpc.ClientStream, error) {
	listener := bufconn.Listen(1024)
	empty := grpc.NewServer()
	defer empty.Stop()
	go func() { _ = empty.Serve(listener) }()
	channel, err := grpc.NewClient("passthrough:///empty",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		}),
	)
	if err != nil {
		return nil, err
	}
	defer channel.Close()
	return channel.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true}, "/nothing")
})
