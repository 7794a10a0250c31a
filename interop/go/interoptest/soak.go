package interoptest

import "time"

// The defaults of the official clients. No failure is allowed.
const (
	soakIterations    = 10
	soakIterationTime = time.Second
)

// Soak runs the iterations of a soak test and continues after a failure.
func Soak(iteration func() error) error {
	var faults []error
	done := 0
	last := time.Now().Add(soakIterations * soakIterationTime)
	for ; done < soakIterations && time.Now().Before(last); done++ {
		started := time.Now()
		err := iteration()
		if took := time.Since(started); err == nil && took > soakIterationTime {
			err = failf("an iteration: expected at most %s, got %s", soakIterationTime, took)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if err := equal("number of iterations in time", done, soakIterations); err != nil {
		return err
	}
	if len(faults) > 0 {
		return failf("failed iterations: expected none, got %d, first: %w", len(faults), faults[0])
	}
	return nil
}
