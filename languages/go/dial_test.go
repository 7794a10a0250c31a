package samehost

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

func TestReadsWhatCameBeforeTheServerClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := dialPatiently(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dialled.Write([]byte("a call that nobody reads")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	for range 2 { // ECONNRESET, for what was not read, then EPIPE
		if size, err := dialled.Write([]byte("window")); size != len("window") || err != nil {
			t.Fatalf("Write to a closed server = %d, %v; want %d, nil", size, err, len("window"))
		}
	}
	answer := make([]byte, len("answer"))
	if _, err := io.ReadFull(dialled, answer); string(answer) != "answer" || err != nil {
		t.Errorf("ReadFull = %q, %v; want %q, nil", answer, err, "answer")
	}
}
