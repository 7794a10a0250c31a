package peer

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/samehost"
)

// explain returns the reason of a failed call: why the client cannot connect, or else the status of the call.
func explain(err error, path string) error {
	answer, isStatus := status.FromError(err)
	if err == nil || !isStatus {
		return err
	}
	switch answer.Code() {
	case codes.Unavailable, codes.DeadlineExceeded:
		if reason := samehost.Diagnose(path); reason != nil {
			return reason
		}
	}
	if answer.Code() == codes.DeadlineExceeded {
		return fmt.Errorf("no answer from %s before the deadline: %s; use a longer deadline, or check the server",
			path, answer.Message())
	}
	return fmt.Errorf("%s returned %s: %s", path, answer.Code(), answer.Message())
}
