package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "example.com/samehost/go/gen/samehost/interop"
	"example.com/samehost/go/greeting"
	"example.com/samehost/go/interoptest"
)

type (
	outputRequest  = testpb.StreamingOutputCallRequest
	outputResponse = testpb.StreamingOutputCallResponse
)

// interopService is the service under test. It keeps the generated UnimplementedCall, which returns UNIMPLEMENTED.
type interopService struct {
	testpb.UnimplementedTestServiceServer
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
	if err := checkCompression(ctx, request.GetExpectCompressed()); err != nil {
		return nil, err
	}
	if err := compress(ctx, request.GetResponseCompressed().GetValue()); err != nil {
		return nil, err
	}
	initial, trailing := echoes(ctx)
	if err := grpc.SetHeader(ctx, initial); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, trailing); err != nil {
		return nil, err
	}
	recordLoad(ctx, request.GetOrcaPerQueryReport())
	if err := interoptest.Refusal(request, request.GetResponseSize()); err != nil {
		return nil, err
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
	if err := grpc.SetHeader(ctx, metadata.Pairs("cache-control", "max-age=60, public")); err != nil {
		return nil, err
	}
	return &testpb.SimpleResponse{Payload: request.GetPayload()}, nil
}

// StreamingOutputCall sends all responses that the request selects.
func (s *interopService) StreamingOutputCall(
	request *outputRequest, stream grpc.ServerStreamingServer[outputResponse],
) error {
	return respond(request, stream)
}

// StreamingInputCall returns the sum of the payload sizes.
func (*interopService) StreamingInputCall(
	stream grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse],
) error {
	size := 0
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		if err := checkCompression(stream.Context(), request.GetExpectCompressed()); err != nil {
			return err
		}
		size += len(request.GetPayload().GetBody())
	}
}

// FullDuplexCall answers each request when it arrives.
func (s *interopService) FullDuplexCall(stream grpc.BidiStreamingServer[outputRequest, outputResponse]) error {
	initial, trailing := echoes(stream.Context())
	if err := stream.SetHeader(initial); err != nil {
		return err
	}
	stream.SetTrailer(trailing)
	hasTurn := false
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if report := request.GetOrcaOobReport(); report != nil {
			if !hasTurn {
				if err := s.takeReportTurn(stream.Context()); err != nil {
					return err
				}
				defer func() { <-s.reportTurn }()
				hasTurn = true
			}
			s.reports.Set(report)
		}
		if err := respond(request, stream); err != nil {
			return err
		}
	}
}

// HalfDuplexCall answers the requests when all have arrived.
func (s *interopService) HalfDuplexCall(stream grpc.BidiStreamingServer[outputRequest, outputResponse]) error {
	var requests []*outputRequest
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		requests = append(requests, request)
	}
	for _, request := range requests {
		if err := respond(request, stream); err != nil {
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
		return status.FromContextError(ctx.Err()).Err()
	}
}

// respond sends the responses that one request selects.
func respond(request *outputRequest, stream grpc.ServerStreamingServer[outputResponse]) error {
	var sizes []int32
	compressed := false
	for _, parameters := range request.GetResponseParameters() {
		sizes = append(sizes, parameters.GetSize())
		compressed = compressed || parameters.GetCompressed().GetValue()
	}
	if err := interoptest.Refusal(request, sizes...); err != nil {
		return err
	}
	if compressed {
		if err := compress(stream.Context(), true); err != nil {
			return err
		}
	}
	for _, parameters := range request.GetResponseParameters() {
		if err := greeting.Pause(stream.Context(), interoptest.Pause(parameters)); err != nil {
			return err
		}
		response := &outputResponse{Payload: &testpb.Payload{Body: make([]byte, parameters.GetSize())}}
		if caller, ok := peer.FromContext(stream.Context()); ok && parameters.GetFillPeerSocketAddress().GetValue() {
			response.PeerSocketAddress = caller.Addr.String()
		}
		send := stream.SendMsg
		if compressed && !parameters.GetCompressed().GetValue() {
			send = func(response any) error { return sendPlain(stream, response) }
		}
		if err := send(response); err != nil {
			return err
		}
	}
	return nil
}

func checkCompression(ctx context.Context, expected *testpb.BoolValue) error {
	return interoptest.CompressionRefusal(expected, wasCompressed(ctx))
}

// echoes returns the metadata to send back in the headers and in the trailers.
func echoes(ctx context.Context) (initial, trailing metadata.MD) {
	received, _ := metadata.FromIncomingContext(ctx)
	initial, trailing = metadata.MD{}, metadata.MD{}
	initial.Append(interoptest.InitialKey, received.Get(interoptest.InitialKey)...)
	trailing.Append(interoptest.TrailingKey, received.Get(interoptest.TrailingKey)...)
	return initial, trailing
}
