// Package compression reads and sets the compressed flag of single messages. connect-go compresses messages by size and
// does not expose the flag. So this package works on the gRPC frames in the bodies of HTTP requests and responses.
//
// Use it with clients and handlers that have the option Off. Their headers announce gzip, but connect-go does not compress
// their messages.
package compression

import (
	"context"
	"math"

	"connectrpc.com/connect"
)

// Off prevents connect-go from compressing messages. The headers still announce gzip.
var Off = connect.WithCompressMinBytes(math.MaxInt)

// Call holds the flags of the messages of one call.
type Call struct {
	received []bool
	next     func() bool
}

type key struct{}

// WithCall adds a Call to the context of a call. Clients use WithCall, and handlers use FromContext.
func WithCall(ctx context.Context) (context.Context, *Call) {
	call := &Call{next: func() bool { return false }}
	return context.WithValue(ctx, key{}, call), call
}

// FromContext returns the Call of a context, or an unused one if the context has none.
func FromContext(ctx context.Context) *Call {
	if call, ok := ctx.Value(key{}).(*Call); ok {
		return call
	}
	return &Call{}
}

// Received returns whether each message received so far was compressed.
func (c *Call) Received() []bool { return c.received }

// LastReceived returns whether the last received message was compressed.
func (c *Call) LastReceived() bool { return len(c.received) > 0 && c.received[len(c.received)-1] }

// CompressNext sets whether the messages that are sent from now on are compressed.
func (c *Call) CompressNext(compressed bool) { c.next = func() bool { return compressed } }

// CompressEach sets whether each of the next messages is compressed, in order.
func (c *Call) CompressEach(flags ...bool) {
	c.next = func() bool {
		if len(flags) == 0 {
			return false
		}
		flag := flags[0]
		flags = flags[1:]
		return flag
	}
}
