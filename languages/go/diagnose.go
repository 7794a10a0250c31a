package samehost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// handshakeTime is how long a server may take to send its first frame. On one machine this takes less than a millisecond.
const handshakeTime = time.Second

// The client's preface, an empty SETTINGS frame, and the layout of a frame header (RFC 9113, 3.4 and 4.1).
const (
	preface          = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frameHeaderBytes = 9
	typeOffset       = 3
	settingsType     = 4
)

// Diagnose returns why a gRPC library reports UNAVAILABLE for a path, or nil if a gRPC server answers. It connects and
// waits up to 1 s for an answer.
//
// Errors:
//   - [ErrNoServer]: no server listens. A client that waits can still succeed.
//   - [ErrNotSocket]: the path names a file or a folder.
//   - [ErrNotGRPC]: the server does not speak HTTP/2, sends nothing, or closes the connection.
//   - [io/fs.ErrPermission]: this process may not connect.
//   - [ErrAddress]: the path is invalid.
//   - An error of the system.
func Diagnose(path string) error {
	if err := Probe(path); err != nil {
		return err
	}
	path, _ = ParseAddress(path)
	return diagnoseProtocol(path)
}

// Probe is like Diagnose, but does not check that the server speaks gRPC. It connects, sends nothing and never waits.
func Probe(path string) error {
	path, err := ParseAddress(path)
	if err != nil {
		return err
	}
	state, err := probe(path)
	if err != nil {
		return fmt.Errorf("cannot connect to %s: %w; check its folder, and the limit of open files", path, cause(err))
	}
	switch state {
	case absent:
		folder := filepath.Dir(path)
		if found, err := os.Stat(folder); err != nil || !found.IsDir() {
			return cannotConnect(ErrNoServer, path, "the folder %s does not exist; check the path or mount it", folder)
		}
		return cannotConnect(ErrNoServer, path,
			"no socket exists there; start the server, or mount the folder that it uses")
	case stale:
		return cannotConnect(ErrNoServer, path, "no server listens on it; start the server again, which replaces the file")
	case forbidden:
		return cannotConnect(fs.ErrPermission, path,
			"permission denied: %s; join that group, or change the group or mode of the socket", describePermissions(path))
	case notASocket:
		return cannotConnect(ErrNotSocket, path, "it is not a socket; use the path that the server was started with")
	}
	return nil
}

func diagnoseProtocol(path string) error {
	answer, err := firstBytes(path)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cannotConnect(ErrNotGRPC, path,
			"the server sent nothing within %g s; check that it is a gRPC server and that it is not blocked",
			handshakeTime.Seconds())
	case err != nil && len(answer) == 0:
		return cannotConnect(ErrNotGRPC, path,
			"the server closed the connection%w; check that it is a gRPC server", optionalReason{cause(err)})
	case len(answer) == frameHeaderBytes && answer[typeOffset] == settingsType:
		return nil
	default:
		return cannotConnect(ErrNotGRPC, path,
			"the server does not speak HTTP/2, its answer starts with %q; use the path of a gRPC server", answer)
	}
}

func cannotConnect(kind error, path string, format string, values ...any) error {
	return failed(kind, "cannot connect to %s: %w", path, fmt.Errorf(format, values...))
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
