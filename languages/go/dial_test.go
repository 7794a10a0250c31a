package samehost

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

func TestReadsAnswersAfterTheServerClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := dialPatiently(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dialed.Write([]byte("a call that the server does not read")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	for range 2 { // the first write gets ECONNRESET because of the unread call, the second EPIPE
		if size, err := dialed.Write([]byte("window")); size != len("window") || err != nil {
			t.Fatalf("Write to a closed server = %d, %v; want %d, nil", size, err, len("window"))
		}
	}
	answer := make([]byte, len("answer"))
	if _, err := io.ReadFull(dialed, answer); string(answer) != "answer" || err != nil {
		t.Errorf("ReadFull = %q, %v; want %q, nil", answer, err, "answer")
	}
}
