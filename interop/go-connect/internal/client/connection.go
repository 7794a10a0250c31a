package client

import (
	"errors"
	"net"
	"syscall"
)

// connection is one whose answers can be read to the end. A server that has moved its client away closes a connection as
// soon as the last answer is written, while the client still sends a WINDOW_UPDATE or a call. Such a write fails, although
// the answers wait to be read, and net/http then closes the connection and loses them. So a write that nobody will read is
// taken as done: reading goes on, and its end says the same to every call that got no answer. (Over TCP this can't be
// mended so: a reset there throws away what was not read.)
type connection struct{ *net.UnixConn }

func (c connection) Write(piece []byte) (int, error) {
	size, err := c.UnixConn.Write(piece)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(piece), nil
	}
	return size, err
}
