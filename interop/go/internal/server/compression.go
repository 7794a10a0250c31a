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

// compressionHandler notes of each request whether it came compressed, which grpc-go shows to nobody else. It does so
// before the request is given to the service.
type compressionHandler struct{}

type cameCompressedKey struct{}

func (compressionHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, cameCompressedKey{}, new(bool))
}

func (compressionHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		if came, ok := ctx.Value(cameCompressedKey{}).(*bool); ok {
			// The two are the same where the flag of the message is not set.
			*came = payload.CompressedLength != payload.Length
		}
	}
}

func (compressionHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (compressionHandler) HandleConn(context.Context, stats.ConnStats) {}

// cameCompressed is whether the last request of this call came compressed.
func cameCompressed(ctx context.Context) bool {
	came, ok := ctx.Value(cameCompressedKey{}).(*bool)
	return ok && *came
}

// compress says whether the responses of this call are compressed; without it, they are where the request was. It is
// said in the headers, so it must come before the first response.
func compress(ctx context.Context, compressed bool) error {
	if compressed {
		return grpc.SetSendCompressor(ctx, gzip.Name)
	}
	return grpc.SetSendCompressor(ctx, encoding.Identity)
}

// sendPlain sends a response as it is in a stream whose responses are compressed.
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

// plainStream is any stream that is not compressed. A PreparedMsg is encoded as the stream wants it that it is given, not
// as the one that sends it; but that stream must be one of grpc-go's own, and none that is at hand will do where the
// request says gzip, too. So this makes one call, in memory, to nobody; it is over already, and its stream lasts.
var plainStream = sync.OnceValues(func() (grpc.ClientStream, error) {
	listener := bufconn.Listen(1024)
	nobody := grpc.NewServer()
	defer nobody.Stop()
	go func() { _ = nobody.Serve(listener) }()
	channel, err := grpc.NewClient("passthrough:///nobody",
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
