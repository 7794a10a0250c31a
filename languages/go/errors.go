package samehost

import (
	"errors"
	"fmt"
	"io"
)

// Test for these errors with [errors.Is]. An error also wraps the error of the system or of the context, such as
// [io/fs.ErrPermission], [io/fs.ErrNotExist] or [context.Canceled].
var (
	ErrAddress      = errors.New("invalid socket address")
	ErrInUse        = errors.New("a server uses the path")
	ErrUnsafeFolder = errors.New("every user can replace the socket")
	ErrLockFile     = errors.New("unusable lock file")
	ErrNotSocket    = errors.New("not a socket")
	ErrNoServer     = errors.New("no server listens")
	ErrNotGRPC      = errors.New("not a gRPC server")
)

// fault is an error of a kind. Its message does not repeat the kind.
type fault struct {
	error
	kind error
}

func (f fault) Unwrap() []error { return []error{f.error, f.kind} }

func failed(kind error, format string, values ...any) error {
	return fault{fmt.Errorf(format, values...), kind}
}

// optionalReason is the end of a clause: ": " and an error, or nothing if a connection just ended.
type optionalReason struct{ error }

func (r optionalReason) Error() string {
	if errors.Is(r.error, io.EOF) {
		return ""
	}
	return ": " + r.error.Error()
}

func (r optionalReason) Unwrap() error { return r.error }
