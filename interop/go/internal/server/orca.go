package server

import (
	"context"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/orca"

	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/interoptest"
)

// recordLoad adds the load report of a request to the trailers of this call (gRFC A51).
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

// orcaService sends load reports out of band.
type orcaService struct {
	orcaservice.UnimplementedOpenRcaServiceServer
	reports *interoptest.LoadReports
}

// StreamCoreMetrics sends the report at once and then in each interval, until the caller cancels.
func (s orcaService) StreamCoreMetrics(
	request *orcaservice.OrcaLoadReportRequest, stream grpc.ServerStreamingServer[orcadata.OrcaLoadReport],
) error {
	return s.reports.Stream(stream.Context(), request, stream.Send)
}
