package client

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
	"example.com/samehost/go/internal/server"
	"example.com/samehost/go/socket"
)

// openWindows is what a server says that takes as much as comes (RFC 9113, 6.5 and 6.9): SETTINGS with an
// INITIAL_WINDOW_SIZE of 1 GiB, and a WINDOW_UPDATE of the connection of as much.
const openWindows = "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x40\x00\x00\x00" +
	"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + "\x40\x00\x00\x00"

// breaking is a listener whose first connection opens all windows and reads nothing; the server gets those that follow.
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

func TestACallIsNotAnsweredForAPartOfItsRequests(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "a.sock"))
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan net.Conn, 1)
	running := server.New()
	go func() { _ = running.Serve(&breaking{listener, first}) }()
	defer running.Server.Stop()
	channel, err := Dial(socket.Address{Path: listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	greeter := greeterv1.NewGreeterServiceClient(channel)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// More than a socket holds, so that the headers of the next call are not written.
	filling, err := greeter.GreetTogether(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := filling.Send(&greeterv1.GreetTogetherRequest{Name: strings.Repeat("A", 1<<22)}); err != nil {
		t.Fatal(err)
	}
	stream, err := greeter.GreetTogether(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := (<-first).Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = stream.Send(&greeterv1.GreetTogetherRequest{Name: "Ada"})
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("Send on a broken connection: expected EOF, got %v", err)
	}
	response, err := stream.CloseAndRecv()
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call that could not send all: expected UNAVAILABLE, got %v, %v", err, response)
	}
}
