package interoptest

import (
	"context"
	"sync/atomic"
	"time"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"

	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/greeting"
)

// minReportInterval is the least time between two out-of-band reports. The case waits 10 s. grpc-go's package orca has such
// a service too, but with a minimum of 30 s, as gRFC A51 requires for production.
const minReportInterval = 100 * time.Millisecond

// LoadReports holds the out-of-band report of a server. The last call that sets a report replaces it.
type LoadReports struct {
	current atomic.Pointer[testpb.TestOrcaReport]
}

// Set sets the report.
func (r *LoadReports) Set(report *testpb.TestOrcaReport) { r.current.Store(report) }

// Stream sends the report at once and then in each interval, until the caller cancels.
func (r *LoadReports) Stream(
	ctx context.Context, request *orcaservice.OrcaLoadReportRequest, send func(*orcadata.OrcaLoadReport) error,
) error {
	interval := max(request.GetReportInterval().AsDuration(), minReportInterval)
	for {
		if err := send(LoadReport(r.current.Load())); err != nil {
			return err
		}
		if err := greeting.Pause(ctx, interval); err != nil {
			return err
		}
	}
}
