// Package compression sees and sets the compressed flag of single messages. connect-go compresses by size alone, and
// shows no flag to anybody; so this looks at gRPC's frames, below it: at the bodies of HTTP requests and responses.
//
// Whatever is to be compressed here must go through a client or handler with Off, so that connect-go says in its headers
// that it uses gzip, and leaves every message as it is.
package compression

import (
	"context"
	"math"

	"connectrpc.com/connect"
)

// Off keeps connect-go from compressing messages; what it says about gzip in the headers stays.
var Off = connect.WithCompressMinBytes(math.MaxInt)

// Call has the flags of one call.
type Call struct {
	came []bool
	next func() bool
}

type key struct{}

// WithCall gives a call's context a Call; a client makes one, a handler finds one.
func WithCall(ctx context.Context) (context.Context, *Call) {
	call := &Call{next: func() bool { return false }}
	return context.WithValue(ctx, key{}, call), call
}

// FromContext finds the Call of a context; without one, it gives one that nobody looks at.
func FromContext(ctx context.Context) *Call {
	if call, ok := ctx.Value(key{}).(*Call); ok {
		return call
	}
	return &Call{}
}

// Came is whether the messages that were received so far came compressed.
func (c *Call) Came() []bool { return c.came }

// LastCame is whether the last message that was received came compressed.
func (c *Call) LastCame() bool { return len(c.came) > 0 && c.came[len(c.came)-1] }

// CompressNext says whether the messages that are sent from now on are compressed.
func (c *Call) CompressNext(compressed bool) { c.next = func() bool { return compressed } }

// CompressEach says of each message that is to be sent whether it is compressed.
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
