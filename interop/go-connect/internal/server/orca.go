package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/protobuf/proto"

	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/interoptest"
)

const (
	orcaServiceName = "xds.service.orca.v3.OpenRcaService"
	// minReportInterval is how often a report is sent out of band at most; gRFC A51 has 30 s for production.
	minReportInterval = 100 * time.Millisecond
)

// recordLoad puts the load report that a test asks for into the trailers of this call (gRFC A51).
func recordLoad(trailer http.Header, report *testpb.TestOrcaReport) error {
	if report == nil {
		return nil
	}
	serialized, err := proto.Marshal(interoptest.LoadReport(report))
	if err != nil {
		return err
	}
	trailer.Set(interoptest.LoadReportKey, connect.EncodeBinaryHeader(serialized))
	return nil
}

// loadReports is the server's report out of band: one, which interopService sets and sendReports sends.
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

// newOrcaHandler serves the one method of OpenRcaService, whose Go code is published for grpc-go alone.
func newOrcaHandler(reports *loadReports, options ...connect.HandlerOption) (string, http.Handler) {
	const procedure = "/" + orcaServiceName + "/StreamCoreMetrics"
	return procedure, connect.NewServerStreamHandlerSimple(procedure, reports.send, options...)
}

// send sends the report at once, then once in each interval, until the caller cancels.
func (r *loadReports) send(
	ctx context.Context, request *orcaservice.OrcaLoadReportRequest, stream *connect.ServerStream[orcadata.OrcaLoadReport],
) error {
	interval := max(request.GetReportInterval().AsDuration(), minReportInterval)
	for {
		if err := stream.Send(r.get()); err != nil {
			return err
		}
		if err := pause(ctx, interval); err != nil {
			return err
		}
	}
}
