package samehostgrpc

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// openWindows are the frames of a server that accepts any amount of data (RFC 9113, 6.5 and 6.9): SETTINGS with an
// INITIAL_WINDOW_SIZE of 1 GiB, and a WINDOW_UPDATE of 1 GiB for the connection.
const openWindows = "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x40\x00\x00\x00" +
	"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + "\x40\x00\x00\x00"

// breaking is a listener. It opens all windows on the first connection and reads nothing from it. It passes later
// connections to the server.
type breaking struct {
	net.Listener
	first chan net.Conn
}

func (b *breaking) Accept() (net.Conn, error) {
	connection, err := b.Listener.Accept()
	if err != nil || b.first == nil {
		return connection, err
	}
	if _, err := io.WriteString(connection, openWindows); err != nil {
		return nil, err
	}
	b.first <- connection
	b.first = nil
	return b.Listener.Accept()
}

func TestNoAnswerToAPartOfTheRequests(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "a.sock"))
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan net.Conn, 1)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		request := &wrapperspb.StringValue{}
		for stream.RecvMsg(request) == nil {
		}
		return stream.SendMsg(request)
	}))
	go func() { _ = server.Serve(&breaking{listener, first}) }()
	defer server.Stop()
	channel, err := NewClient(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// Send more than the socket buffers, so that the headers of the next call are not written.
	upload := &grpc.StreamDesc{ClientStreams: true}
	filling, err := channel.NewStream(ctx, upload, "/test.Service/Upload")
	if err != nil {
		t.Fatal(err)
	}
	if err := filling.SendMsg(wrapperspb.String(strings.Repeat("A", 1<<22))); err != nil {
		t.Fatal(err)
	}
	stream, err := channel.NewStream(ctx, upload, "/test.Service/Upload")
	if err != nil {
		t.Fatal(err)
	}
	if err := (<-first).Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = stream.SendMsg(wrapperspb.String("Ada"))
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("Send on a broken connection: expected EOF, got %v", err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	response := &wrapperspb.StringValue{}
	err = stream.RecvMsg(response)
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call that could not send all requests: expected UNAVAILABLE, got %v, %v", err, response)
	}
}
