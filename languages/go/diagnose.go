package samehost

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// handshakeTime is how long a server may take to send its first frame; on one machine it takes less than a millisecond.
const handshakeTime = time.Second

// RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
const (
	preface          = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frameHeaderBytes = 9
	typeOffset       = 3
	settingsType     = 4
)

// Diagnose returns why a gRPC library reports UNAVAILABLE for a path, or nil if a gRPC server answers. It connects, and
// waits up to 1 s for the server.
//
// Errors: [ErrNoServer], which a server that starts later cures; [ErrNotSocket], [ErrNotGRPC], [io/fs.ErrPermission],
// [ErrAddress], and those of the system.
func Diagnose(path string) error {
	if err := Probe(path); err != nil {
		return err
	}
	path, _ = ParseAddress(path)
	return diagnoseProtocol(path)
}

// Probe does what Diagnose does, but does not ask whether the server speaks gRPC: it connects, sends nothing, and never
// waits.
func Probe(path string) error {
	path, err := ParseAddress(path)
	if err != nil {
		return err
	}
	state, err := probe(path)
	if err != nil {
		return cannotLook(path, err)
	}
	switch state {
	case absent:
		folder := filepath.Dir(path)
		if found, err := os.Stat(folder); err != nil || !found.IsDir() {
			return failed(ErrNoServer, "no socket at %s: there is no folder %s; create it or mount it here", path, folder)
		}
		return failed(ErrNoServer, "no socket at %s: start its server, or mount the folder that it serves in", path)
	case stale:
		return failed(ErrNoServer, "nobody listens on %s: its server is gone; start it again and it replaces the file", path)
	case forbidden:
		return failed(fs.ErrPermission, "no permission to connect to %s: %s; connecting takes write permission: "+
			"run in that group, or give the socket another group or mode", path, describePermissions(path))
	case notASocket:
		return failed(ErrNotSocket, "%s is not a socket; give the path that the server was started with", path)
	}
	return nil
}

func diagnoseProtocol(path string) error {
	answer, err := firstBytes(path)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failed(ErrNotGRPC, "what listens on %s did not speak within %s; see whether it is a gRPC server, and whether it hangs",
			path, handshakeTime)
	case err != nil && len(answer) == 0:
		return failed(ErrNotGRPC, "what listens on %s hung up: %w; see whether it is a gRPC server", path, cause(err))
	case len(answer) == frameHeaderBytes && answer[typeOffset] == settingsType:
		return nil
	default:
		return failed(ErrNotGRPC, "what listens on %s does not speak HTTP/2: it began with %q; "+
			"give the path of a gRPC server without TLS", path, answer)
	}
}

func firstBytes(path string) ([]byte, error) {
	connection, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(connection, preface); err != nil {
		return nil, err
	}
	var answer bytes.Buffer
	_, err = io.CopyN(&answer, connection, frameHeaderBytes)
	return answer.Bytes(), err
}
