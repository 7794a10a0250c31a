package peer

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/samehost"
)

// explain says what a failed call means: why the server can't be reached, or else what it answered.
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
		return fmt.Errorf("no answer from %s before the deadline: %s; give it more time, or see what keeps it",
			path, answer.Message())
	}
	return fmt.Errorf("%s answered %s: %s", path, answer.Code(), answer.Message())
}
