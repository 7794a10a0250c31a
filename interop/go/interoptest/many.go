package interoptest

import (
	"slices"
	"sync"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

const (
	// concurrentCalls is how many calls concurrent_large_unary makes at once.
	concurrentCalls = 1000
	// pickFirstCalls is how many calls must reach the same server, as grpc-go and grpc-java have it.
	pickFirstCalls = 100
)

// Concurrently makes all calls of concurrent_large_unary, and returns the first of them that failed.
func Concurrently(call func() error) error {
	errs := make([]error, concurrentCalls)
	var calls sync.WaitGroup
	for i := range errs {
		calls.Go(func() { errs[i] = call() })
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// SameServer makes all calls of pick_first_unary, and fails unless they reached one server, and it has a name.
func SameServer(call func() (*testpb.SimpleResponse, error)) error {
	var ids []string
	for range pickFirstCalls {
		response, err := call()
		if err != nil {
			return err
		}
		ids = append(ids, response.GetServerId())
	}
	different := slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(different) != 1 || different[0] == "" {
		return failf("server_id of %d responses: expected one that is not empty, got %q", len(ids), different)
	}
	return nil
}
