package socket

import (
	"errors"
	"net"
	"sync/atomic"
)

// conn is a connection that knows whether the client has said anything yet.
type conn struct {
	*net.UnixConn
	listener *Listener
	spoke    atomic.Bool
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	accepted, err := l.AcceptUnix()
	if err != nil {
		var failed *net.OpError
		if errors.As(err, &failed) {
			failed.Addr = l.Addr()
		}
		return nil, err
	}
	made := &conn{UnixConn: accepted, listener: l}
	l.silent.Store(made, nil)
	return made, nil
}

// HangUpOnSilent closes the connections on which nothing was said yet. A server that stops gracefully waits for them, as
// they may be about to call: grpc-go for 120 s, net/http for 5 s. Giving every connection less time from the start is
// no cure: a client that is busy takes seconds from dialling to speaking.
func (l *Listener) HangUpOnSilent() {
	l.silent.Range(func(silent, _ any) bool {
		_ = silent.(*conn).Close()
		return true
	})
}

// LocalAddr returns the path, as the listener's Addr does.
func (c *conn) LocalAddr() net.Addr { return c.listener.Addr() }

func (c *conn) Read(piece []byte) (int, error) {
	size, err := c.UnixConn.Read(piece)
	if size > 0 && c.spoke.CompareAndSwap(false, true) {
		c.listener.silent.Delete(c)
	}
	return size, err
}

func (c *conn) Close() error {
	c.listener.silent.Delete(c)
	return c.UnixConn.Close()
}
