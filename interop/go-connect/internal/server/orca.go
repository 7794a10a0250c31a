package server

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/protobuf/proto"

	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/interoptest"
)

const orcaServiceName = "xds.service.orca.v3.OpenRcaService"

// recordLoad adds the load report of a request to the trailers of this call (gRFC A51).
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

// newOrcaHandler serves the only method of OpenRcaService, whose published Go code only supports grpc-go.
func newOrcaHandler(reports *interoptest.LoadReports, options ...connect.HandlerOption) (string, http.Handler) {
	const procedure = "/" + orcaServiceName + "/StreamCoreMetrics"
	return procedure, connect.NewServerStreamHandlerSimple(procedure, func(
		ctx context.Context, request *orcaservice.OrcaLoadReportRequest, stream *connect.ServerStream[orcadata.OrcaLoadReport],
	) error {
		return reports.Stream(ctx, request, stream.Send)
	}, options...)
}
