package samehost

import (
	"errors"
	"fmt"
)

// What an error can be tested for with [errors.Is]. Beside these, an error wraps what the system or the context returned,
// so that it can be tested for [io/fs.ErrPermission], [io/fs.ErrNotExist] and [context.Canceled] too.
var (
	ErrAddress      = errors.New("invalid socket address")
	ErrInUse        = errors.New("the path has a server already")
	ErrUnsafeFolder = errors.New("every user can replace the socket")
	ErrNotSocket    = errors.New("not a socket")
	ErrNoServer     = errors.New("no server listens")
	ErrNotGRPC      = errors.New("not a gRPC server")
)

// fault is an error with a message that does not repeat its kind.
type fault struct {
	error
	kind error
}

func (f fault) Unwrap() []error { return []error{f.error, f.kind} }

func failed(kind error, format string, values ...any) error {
	return fault{fmt.Errorf(format, values...), kind}
}
