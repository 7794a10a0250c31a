package interoptest

import (
	"slices"
	"sync"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

const (
	// concurrentCalls is how many calls concurrent_large_unary makes at once.
	concurrentCalls = 1000
	// pickFirstCalls is how many calls must reach the same server. grpc-go and grpc-java use this number too.
	pickFirstCalls = 100
)

// Concurrently makes all calls of concurrent_large_unary and returns the first error.
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

// SameServer makes all calls of pick_first_unary. It returns an error unless all have the same server_id, which must not be
// empty.
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
		return failf("server_id of %d responses: expected a single one that is not empty, got %q", len(ids), different)
	}
	return nil
}
