// Package client implements the greetings and the interop cases with grpc-go.
package client

import (
	"context"
	"errors"
	"io"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	testpb "example.com/samehost/go/gen/samehost/interop"
	test "example.com/samehost/go/interoptest"
	"example.com/samehost/samehostgrpc"
)

// Cases are the official cases. Each uses its own channel. Package interoptest has their requests and checks.
var Cases = test.Cases{
	"empty_unary":                 withStub(emptyUnary),
	"cacheable_unary":             withStub(cacheableUnary),
	"large_unary":                 withStub(largeUnary),
	"client_compressed_unary":     withStub(clientCompressedUnary),
	"server_compressed_unary":     serverCompressedUnary,
	"client_streaming":            withStub(clientStreaming),
	"client_compressed_streaming": withStub(clientCompressedStreaming),
	"server_streaming":            withStub(serverStreaming),
	"server_compressed_streaming": serverCompressedStreaming,
	"ping_pong":                   withStub(pingPong),
	"half_duplex":                 withStub(halfDuplex),
	"empty_stream":                withStub(emptyStream),
	"custom_metadata":             withStub(customMetadata),
	"status_code_and_message":     withStub(statusCodeAndMessage),
	"special_status_message":      withStub(specialStatusMessage),
	"unimplemented_method":        withStub(unimplementedMethod),
	"unimplemented_service":       withChannel(unimplementedService),
	"cancel_after_begin":          withStub(cancelAfterBegin),
	"cancel_after_first_response": withStub(cancelAfterFirstResponse),
	"timeout_on_sleeping_server":  withStub(timeoutOnSleepingServer),
	"pick_first_unary":            withStub(pickFirstUnary),
	"concurrent_large_unary":      withStub(concurrentLargeUnary),
	"rpc_soak":                    withStub(rpcSoak),
	"channel_soak":                channelSoak,
	"orca_per_rpc":                withStub(orcaPerRPC),
	"orca_oob":                    withChannel(orcaOutOfBand),
}

func withChannel(run func(context.Context, grpc.ClientConnInterface) error, options ...grpc.DialOption) test.Case {
	return func(ctx context.Context, path string) error {
		channel, err := samehostgrpc.NewClient(path, options...)
		if err != nil {
			return err
		}
		defer channel.Close()
		return run(ctx, channel)
	}
}

func withStub(run func(context.Context, testpb.TestServiceClient) error, options ...grpc.DialOption) test.Case {
	return withChannel(func(ctx context.Context, channel grpc.ClientConnInterface) error {
		return run(ctx, testpb.NewTestServiceClient(channel))
	}, options...)
}

func emptyUnary(ctx context.Context, stub testpb.TestServiceClient) error {
	response, err := stub.EmptyCall(ctx, &testpb.Empty{})
	if err != nil {
		return err
	}
	return test.CheckEmpty(response)
}

func largeUnary(ctx context.Context, stub testpb.TestServiceClient) error {
	return callLarge(ctx, stub, test.Large())
}

func callLarge(
	ctx context.Context, stub testpb.TestServiceClient, request *testpb.SimpleRequest, options ...grpc.CallOption,
) error {
	response, err := stub.UnaryCall(ctx, request, options...)
	if err != nil {
		return err
	}
	return test.CheckLarge(response)
}

// cacheableUnary sends POST requests, which no proxy caches, because grpc-go has no GET. The payloads are equal because
// the server returns the same answer for the same request.
func cacheableUnary(ctx context.Context, stub testpb.TestServiceClient) error {
	ctx = metadata.AppendToOutgoingContext(ctx, test.UserIPKey, test.UserIP)
	request := test.Cacheable()
	first, err := stub.CacheableUnaryCall(ctx, request)
	if err != nil {
		return err
	}
	second, err := stub.CacheableUnaryCall(ctx, request)
	if err != nil {
		return err
	}
	return test.CheckCached(first, second)
}

func clientCompressedUnary(ctx context.Context, stub testpb.TestServiceClient) error {
	_, err := stub.UnaryCall(ctx, test.LargeExpecting(true))
	if err := test.CheckStatus(err, codes.InvalidArgument); err != nil {
		return err
	}
	if err := callLarge(ctx, stub, test.LargeExpecting(true), grpc.UseCompressor(gzip.Name)); err != nil {
		return err
	}
	return callLarge(ctx, stub, test.LargeExpecting(false))
}

func serverCompressedUnary(ctx context.Context, path string) error {
	for _, compressed := range []bool{true, false} {
		flags := &responseFlags{}
		err := withStub(func(ctx context.Context, stub testpb.TestServiceClient) error {
			response, err := stub.UnaryCall(ctx, test.LargeWanting(compressed))
			if err != nil {
				return err
			}
			return test.CheckCompressedResponse(response, flags.compressed, compressed)
		}, grpc.WithStatsHandler(flags))(ctx, path)
		if err != nil {
			return err
		}
	}
	return nil
}

func clientStreaming(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for _, input := range test.Inputs() {
		if err := stream.Send(input); err != nil {
			break // CloseAndRecv returns the status
		}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	return test.CheckAggregated(response)
}

func clientCompressedStreaming(ctx context.Context, stub testpb.TestServiceClient) error {
	compressed, plain := test.CompressedInputs()
	probe, err := stub.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	if err := probe.Send(compressed); err != nil {
		return err
	}
	_, err = probe.CloseAndRecv()
	if err := test.CheckStatus(err, codes.InvalidArgument); err != nil {
		return err
	}
	response, err := sendBoth(ctx, stub, compressed, plain)
	if err != nil {
		return err
	}
	return test.CheckCompressedAggregated(response)
}

func serverStreaming(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.StreamingOutputCall(ctx, test.Output())
	if err != nil {
		return err
	}
	responses, err := receiveAll(stream)
	if err != nil {
		return err
	}
	return test.CheckOutputs(responses)
}

func serverCompressedStreaming(ctx context.Context, path string) error {
	flags := &responseFlags{}
	return withStub(func(ctx context.Context, stub testpb.TestServiceClient) error {
		stream, err := stub.StreamingOutputCall(ctx, test.CompressedOutput())
		if err != nil {
			return err
		}
		responses, err := receiveAll(stream)
		if err != nil {
			return err
		}
		return test.CheckCompressedOutputs(responses, flags.compressed)
	}, grpc.WithStatsHandler(flags))(ctx, path)
}

func pingPong(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for number, request := range test.PingPong() {
		response, err := exchange(stream, request)
		if err != nil {
			return err
		}
		if err := test.CheckPong(response, number); err != nil {
			return err
		}
	}
	return end(stream)
}

func halfDuplex(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.HalfDuplexCall(ctx)
	if err != nil {
		return err
	}
	for _, request := range test.Outputs() {
		if err := stream.Send(request); err != nil {
			break // Recv returns the status
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	responses, err := receiveAll(stream)
	if err != nil {
		return err
	}
	return test.CheckOutputs(responses)
}

func emptyStream(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	return end(stream)
}

func customMetadata(ctx context.Context, stub testpb.TestServiceClient) error {
	ctx = metadata.AppendToOutgoingContext(ctx, test.InitialKey, test.InitialValue, test.TrailingKey, test.TrailingValue)
	var header, trailer metadata.MD
	if err := callLarge(ctx, stub, test.Large(), grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		return err
	}
	if err := test.CheckEchoes(header.Get(test.InitialKey), trailer.Get(test.TrailingKey)); err != nil {
		return err
	}
	stream, err := stub.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	response, err := exchange(stream, test.LargeOutput())
	if err != nil {
		return err
	}
	if err := test.CheckLargeOutput(response); err != nil {
		return err
	}
	if err := end(stream); err != nil {
		return err
	}
	header, err = stream.Header()
	if err != nil {
		return err
	}
	return test.CheckEchoes(header.Get(test.InitialKey), stream.Trailer().Get(test.TrailingKey))
}

func statusCodeAndMessage(ctx context.Context, stub testpb.TestServiceClient) error {
	_, err := stub.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: test.Status()})
	if err := test.CheckEchoedStatus(err, test.Status()); err != nil {
		return err
	}
	stream, err := stub.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: test.Status()}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	return test.CheckEchoedStatus(err, test.Status())
}

func specialStatusMessage(ctx context.Context, stub testpb.TestServiceClient) error {
	_, err := stub.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: test.SpecialStatus()})
	return test.CheckEchoedStatus(err, test.SpecialStatus())
}

func unimplementedMethod(ctx context.Context, stub testpb.TestServiceClient) error {
	_, err := stub.UnimplementedCall(ctx, &testpb.Empty{})
	return test.CheckStatus(err, codes.Unimplemented)
}

func unimplementedService(ctx context.Context, channel grpc.ClientConnInterface) error {
	_, err := testpb.NewUnimplementedServiceClient(channel).UnimplementedCall(ctx, &testpb.Empty{})
	return test.CheckStatus(err, codes.Unimplemented)
}

func cancelAfterBegin(ctx context.Context, stub testpb.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := stub.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	cancel()
	_, err = stream.CloseAndRecv()
	return test.CheckStatus(err, codes.Canceled)
}

func cancelAfterFirstResponse(ctx context.Context, stub testpb.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := stub.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	response, err := exchange(stream, test.PingPong()[0])
	if err != nil {
		return err
	}
	if err := test.CheckPong(response, 0); err != nil {
		return err
	}
	cancel()
	_, err = stream.Recv()
	return test.CheckStatus(err, codes.Canceled)
}

func timeoutOnSleepingServer(ctx context.Context, stub testpb.TestServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, test.SleeperTimeout)
	defer cancel()
	stream, err := stub.FullDuplexCall(ctx)
	if err == nil {
		// If the deadline has already passed, Recv reports it too.
		_ = stream.Send(test.Sleeper())
		_, err = stream.Recv()
	}
	return test.CheckStatus(err, codes.DeadlineExceeded)
}

func pickFirstUnary(ctx context.Context, stub testpb.TestServiceClient) error {
	return test.SameServer(func() (*testpb.SimpleResponse, error) {
		return stub.UnaryCall(ctx, &testpb.SimpleRequest{FillServerId: true})
	})
}

func concurrentLargeUnary(ctx context.Context, stub testpb.TestServiceClient) error {
	request := test.Large()
	return test.Concurrently(func() error { return callLarge(ctx, stub, request) })
}

func rpcSoak(ctx context.Context, stub testpb.TestServiceClient) error {
	return test.Soak(func() error { return largeUnary(ctx, stub) })
}

func channelSoak(ctx context.Context, path string) error {
	return test.Soak(func() error { return withStub(largeUnary)(ctx, path) })
}

func orcaPerRPC(ctx context.Context, stub testpb.TestServiceClient) error {
	var trailer metadata.MD
	request := &testpb.SimpleRequest{OrcaPerQueryReport: test.CallReport()}
	if _, err := stub.UnaryCall(ctx, request, grpc.Trailer(&trailer)); err != nil {
		return err
	}
	return test.CheckCallReport(trailer.Get(test.LoadReportKey))
}

func orcaOutOfBand(ctx context.Context, channel grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := testpb.NewTestServiceClient(channel).FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	var reports grpc.ServerStreamingClient[orcadata.OrcaLoadReport]
	for _, report := range test.OutOfBandReports() {
		response, err := exchange(stream, test.Reporting(report))
		if err != nil {
			return err
		}
		if err := test.CheckReportSet(response); err != nil {
			return err
		}
		if reports == nil {
			reports, err = orcaservice.NewOpenRcaServiceClient(channel).StreamCoreMetrics(ctx, test.Listen())
			if err != nil {
				return err
			}
		}
		if err := test.AwaitReport(report, reports.Recv); err != nil {
			return err
		}
	}
	return end(stream)
}

type duplex = grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]

// exchange sends a request and receives its response.
func exchange(
	stream duplex, request *testpb.StreamingOutputCallRequest,
) (*testpb.StreamingOutputCallResponse, error) {
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.Recv()
}

// end closes the sending side and returns an error unless the stream ends with OK.
func end(stream duplex) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err := stream.Recv()
	return test.CheckEnd(err)
}

func receiveAll(
	stream interface {
		Recv() (*testpb.StreamingOutputCallResponse, error)
	},
) ([]*testpb.StreamingOutputCallResponse, error) {
	var responses []*testpb.StreamingOutputCallResponse
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return responses, nil
		}
		if err != nil {
			return nil, err
		}
		responses = append(responses, response)
	}
}
