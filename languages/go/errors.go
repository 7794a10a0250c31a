package samehost

import (
	"errors"
	"fmt"
)

// Test for these errors with [errors.Is]. An error also wraps what the system or the context returned, such as
// [io/fs.ErrPermission], [io/fs.ErrNotExist] or [context.Canceled].
var (
	ErrAddress      = errors.New("invalid socket address")
	ErrInUse        = errors.New("the path has a server already")
	ErrUnsafeFolder = errors.New("every user can replace the socket")
	ErrLockFile     = errors.New("unusable lock file")
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
