package socket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// Diagnose says why no gRPC server can be reached at the address, by looking and dialling; nil where one answers. A
// gRPC library says UNAVAILABLE to all of it.
func Diagnose(address Address) error {
	state, err := Probe(address)
	if err != nil {
		return err
	}
	path := address.Path
	switch state {
	case Absent:
		folder := filepath.Dir(path)
		if found, err := os.Stat(folder); err != nil || !found.IsDir() {
			return fmt.Errorf("no socket at %s: there is no folder %s; create it or mount it here", path, folder)
		}
		return fmt.Errorf("no socket at %s: start its server, or mount the folder that it serves in", path)
	case Stale:
		return fmt.Errorf("nobody listens on %s: its server is gone; start it again and it replaces the file", path)
	case Forbidden:
		return fmt.Errorf("no permission to connect to %s: %s; connecting takes write permission: "+
			"run in that group, or serve with another --group or --mode", path, describePermissions(path))
	case NotASocket:
		return fmt.Errorf("%s is not a socket; give the path that the server was started with", path)
	default:
		return diagnoseProtocol(path)
	}
}

// DiagnoseIncurable says why a server that starts later could not help either; nil where it could.
func DiagnoseIncurable(address Address) error {
	if state, err := Probe(address); err != nil || state == NotASocket || state == Forbidden {
		return Diagnose(address)
	}
	return nil
}

func diagnoseProtocol(path string) error {
	answer, err := firstBytes(path)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("what listens on %s did not speak within %s; see whether it is a gRPC server, and whether it hangs",
			path, handshakeTime)
	case err != nil && len(answer) == 0:
		return fmt.Errorf("what listens on %s hung up: %w; see whether it is a gRPC server", path, cause(err))
	case len(answer) == frameHeaderBytes && answer[typeOffset] == settingsType:
		return nil
	default:
		return fmt.Errorf("what listens on %s does not speak HTTP/2: it began with %q; "+
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
