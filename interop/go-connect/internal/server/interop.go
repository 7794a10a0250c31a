package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/status"

	"example.com/samehost/go-connect/gen/samehost/interop/interopconnect"
	"example.com/samehost/go-connect/internal/compression"
	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/greeting"
	"example.com/samehost/go/interoptest"
)

type (
	outputRequest  = testpb.StreamingOutputCallRequest
	outputResponse = testpb.StreamingOutputCallResponse
	duplex         = connect.BidiStream[outputRequest, outputResponse]
)

// interopService is the service under test. It keeps the generated UnimplementedCall, which returns UNIMPLEMENTED.
type interopService struct {
	interopconnect.UnimplementedTestServiceHandler
	id      string
	host    string
	reports *interoptest.LoadReports
	// The server has one out-of-band report, so only one client at a time may set it and wait for it.
	reportTurn chan struct{}
}

func newInteropService(reports *interoptest.LoadReports) *interopService {
	host, _ := os.Hostname()
	return &interopService{
		id:         fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().UnixNano()),
		host:       host,
		reports:    reports,
		reportTurn: make(chan struct{}, 1),
	}
}

func (*interopService) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

// UnaryCall returns the payload, status, metadata and load report that the request selects.
func (s *interopService) UnaryCall(ctx context.Context, request *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	messages := compression.FromContext(ctx)
	if err := interoptest.CompressionRefusal(request.GetExpectCompressed(), messages.LastReceived()); err != nil {
		return nil, refused(err)
	}
	messages.CompressNext(request.GetResponseCompressed().GetValue())
	info, _ := connect.CallInfoForHandlerContext(ctx)
	echo(info)
	if err := recordLoad(info.ResponseTrailer(), request.GetOrcaPerQueryReport()); err != nil {
		return nil, err
	}
	if err := interoptest.Refusal(request, request.GetResponseSize()); err != nil {
		return nil, refused(err)
	}
	response := &testpb.SimpleResponse{
		Payload:  &testpb.Payload{Body: make([]byte, request.GetResponseSize())},
		Hostname: s.host,
	}
	if request.GetFillServerId() {
		response.ServerId = s.id
	}
	return response, nil
}

// CacheableUnaryCall returns the payload of the request and allows a proxy to cache the answer.
func (*interopService) CacheableUnaryCall(
	ctx context.Context, request *testpb.SimpleRequest,
) (*testpb.SimpleResponse, error) {
	info, _ := connect.CallInfoForHandlerContext(ctx)
	info.ResponseHeader().Set("Cache-Control", "max-age=60, public")
	return &testpb.SimpleResponse{Payload: request.GetPayload()}, nil
}

// StreamingOutputCall sends all responses that the request selects.
func (*interopService) StreamingOutputCall(
	ctx context.Context, request *outputRequest, stream *connect.ServerStream[outputResponse],
) error {
	return respond(ctx, request, stream.Send)
}

// StreamingInputCall returns the sum of the payload sizes.
func (*interopService) StreamingInputCall(
	ctx context.Context, stream *connect.ClientStream[testpb.StreamingInputCallRequest],
) (*testpb.StreamingInputCallResponse, error) {
	messages := compression.FromContext(ctx)
	size := 0
	for stream.Receive() {
		request := stream.Msg()
		if err := interoptest.CompressionRefusal(request.GetExpectCompressed(), messages.LastReceived()); err != nil {
			return nil, refused(err)
		}
		size += len(request.GetPayload().GetBody())
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return &testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)}, nil
}

// FullDuplexCall answers each request when it arrives.
func (s *interopService) FullDuplexCall(ctx context.Context, stream *duplex) error {
	info, _ := connect.CallInfoForHandlerContext(ctx)
	echo(info)
	hasTurn := false
	for {
		request, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if report := request.GetOrcaOobReport(); report != nil {
			if !hasTurn {
				if err := s.takeReportTurn(ctx); err != nil {
					return err
				}
				defer func() { <-s.reportTurn }()
				hasTurn = true
			}
			s.reports.Set(report)
		}
		if err := respond(ctx, request, stream.Send); err != nil {
			return err
		}
	}
}

// HalfDuplexCall answers the requests when all have arrived.
func (*interopService) HalfDuplexCall(ctx context.Context, stream *duplex) error {
	var requests []*outputRequest
	for {
		request, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		requests = append(requests, request)
	}
	for _, request := range requests {
		if err := respond(ctx, request, stream.Send); err != nil {
			return err
		}
	}
	return nil
}

func (s *interopService) takeReportTurn(ctx context.Context) error {
	select {
	case s.reportTurn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// respond sends the responses that one request selects.
func respond(ctx context.Context, request *outputRequest, send func(*outputResponse) error) error {
	var sizes []int32
	for _, parameters := range request.GetResponseParameters() {
		sizes = append(sizes, parameters.GetSize())
	}
	if err := interoptest.Refusal(request, sizes...); err != nil {
		return refused(err)
	}
	messages := compression.FromContext(ctx)
	for _, parameters := range request.GetResponseParameters() {
		if err := greeting.Pause(ctx, interoptest.Pause(parameters)); err != nil {
			return err
		}
		response := &outputResponse{Payload: &testpb.Payload{Body: make([]byte, parameters.GetSize())}}
		if parameters.GetFillPeerSocketAddress().GetValue() {
			info, _ := connect.CallInfoForHandlerContext(ctx)
			response.PeerSocketAddress = info.Peer().Addr
		}
		messages.CompressNext(parameters.GetCompressed().GetValue())
		if err := send(response); err != nil {
			return err
		}
	}
	return nil
}

// echo sends metadata back in the headers and in the trailers.
func echo(info connect.CallInfo) {
	copyHeader(info.ResponseHeader(), info.RequestHeader(), interoptest.InitialKey)
	copyHeader(info.ResponseTrailer(), info.RequestHeader(), interoptest.TrailingKey)
}

func copyHeader(to, from http.Header, key string) {
	for _, value := range from.Values(key) {
		to.Add(key, value)
	}
}

// refused converts a gRPC status to an error of connect-go with the same code.
func refused(err error) error {
	refusal := status.Convert(err)
	return connect.NewError(connect.Code(refusal.Code()), errors.New(refusal.Message()))
}
