package server

import (
	"context"
	"sync/atomic"
	"time"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/orca"

	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/interoptest"
)

// minReportInterval is how often a report is sent out of band at most. Package orca has such a service too, but with no
// less than 30 s, which only grpc-go's own tests may change (orca/service.go); the case waits 10 s.
const minReportInterval = 100 * time.Millisecond

// recordLoad puts the load report that a test asks for into the trailers of this call (gRFC A51).
func recordLoad(ctx context.Context, report *testpb.TestOrcaReport) {
	recorder := orca.CallMetricsRecorderFromContext(ctx)
	if recorder == nil || report == nil {
		return
	}
	recorder.SetCPUUtilization(report.GetCpuUtilization())
	recorder.SetMemoryUtilization(report.GetMemoryUtilization())
	for name, value := range report.GetRequestCost() {
		recorder.SetRequestCost(name, value)
	}
	for name, value := range report.GetUtilization() {
		recorder.SetNamedUtilization(name, value)
	}
}

// loadReports is the server's report out of band: one, which interopService sets and orcaService sends.
type loadReports struct {
	current atomic.Pointer[orcadata.OrcaLoadReport]
}

func (r *loadReports) set(report *testpb.TestOrcaReport) {
	r.current.Store(interoptest.LoadReport(report))
}

func (r *loadReports) get() *orcadata.OrcaLoadReport {
	if report := r.current.Load(); report != nil {
		return report
	}
	return &orcadata.OrcaLoadReport{}
}

// orcaService gives load reports whether or not calls are made.
type orcaService struct {
	orcaservice.UnimplementedOpenRcaServiceServer
	reports *loadReports
}

// StreamCoreMetrics sends the report at once, then once in each interval, until the caller cancels.
func (s orcaService) StreamCoreMetrics(
	request *orcaservice.OrcaLoadReportRequest, stream grpc.ServerStreamingServer[orcadata.OrcaLoadReport],
) error {
	interval := max(request.GetReportInterval().AsDuration(), minReportInterval)
	for {
		if err := stream.Send(s.reports.get()); err != nil {
			return err
		}
		if err := pause(stream.Context(), interval); err != nil {
			return err
		}
	}
}
