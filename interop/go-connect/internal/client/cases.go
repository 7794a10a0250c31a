package client

import (
	"context"
	"errors"
	"io"
	"net/http"

	"connectrpc.com/connect"
	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc/codes"

	"example.com/samehost"
	"example.com/samehost/go-connect/gen/samehost/interop/interopconnect"
	"example.com/samehost/go-connect/internal/compression"
	testpb "example.com/samehost/go/gen/samehost/interop"
	test "example.com/samehost/go/interoptest"
)

// Cases are the official cases. Each uses its own connection. Package interoptest has their requests and checks.
var Cases = test.Cases{
	"empty_unary":                 withClient(emptyUnary),
	"cacheable_unary":             withClient(cacheableUnary),
	"large_unary":                 withClient(largeUnary),
	"client_compressed_unary":     withChannel(clientCompressedUnary),
	"server_compressed_unary":     withClient(serverCompressedUnary),
	"client_streaming":            withClient(clientStreaming),
	"client_compressed_streaming": withChannel(clientCompressedStreaming),
	"server_streaming":            withClient(serverStreaming),
	"server_compressed_streaming": withClient(serverCompressedStreaming),
	"ping_pong":                   withClient(pingPong),
	"half_duplex":                 withClient(halfDuplex),
	"empty_stream":                withClient(emptyStream),
	"custom_metadata":             withClient(customMetadata),
	"status_code_and_message":     withClient(statusCodeAndMessage),
	"special_status_message":      withClient(specialStatusMessage),
	"unimplemented_method":        withClient(unimplementedMethod),
	"unimplemented_service":       withChannel(unimplementedService),
	"cancel_after_begin":          withClient(cancelAfterBegin),
	"cancel_after_first_response": withClient(cancelAfterFirstResponse),
	"timeout_on_sleeping_server":  withClient(timeoutOnSleepingServer),
	"pick_first_unary":            withClient(pickFirstUnary),
	"concurrent_large_unary":      withClient(concurrentLargeUnary),
	"rpc_soak":                    withClient(rpcSoak),
	"channel_soak":                channelSoak,
	"orca_per_rpc":                withClient(orcaPerRPC),
	"orca_oob":                    withChannel(orcaOutOfBand),
}

func withChannel(run func(context.Context, *http.Client) error) test.Case {
	return func(ctx context.Context, path string) error {
		channel := Dial(path)
		defer channel.CloseIdleConnections()
		return asStatus(run(ctx, channel))
	}
}

func withClient(run func(context.Context, interopconnect.TestServiceClient) error) test.Case {
	return withChannel(func(ctx context.Context, channel *http.Client) error {
		return run(ctx, newClient(channel))
	})
}

func newClient(channel *http.Client) interopconnect.TestServiceClient {
	return interopconnect.NewTestServiceClient(channel, samehost.BaseURL, Options())
}

// newGzipClient returns a client that compresses the messages that the compression.Call of a context selects.
func newGzipClient(channel *http.Client) interopconnect.TestServiceClient {
	return interopconnect.NewTestServiceClient(channel, samehost.BaseURL, Options(), connect.WithSendGzip(), compression.Off)
}

func emptyUnary(ctx context.Context, client interopconnect.TestServiceClient) error {
	response, err := client.EmptyCall(ctx, &testpb.Empty{})
	if err != nil {
		return err
	}
	return test.CheckEmpty(response)
}

func largeUnary(ctx context.Context, client interopconnect.TestServiceClient) error {
	return callLarge(ctx, client, test.Large())
}

func callLarge(ctx context.Context, client interopconnect.TestServiceClient, request *testpb.SimpleRequest) error {
	response, err := client.UnaryCall(ctx, request)
	if err != nil {
		return err
	}
	return test.CheckLarge(response)
}

// cacheableUnary sends POST requests, which no proxy caches, because connect-go has GET only for the Connect protocol. The
// payloads are equal because the server returns the same answer for the same request.
func cacheableUnary(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set(test.UserIPKey, test.UserIP)
	request := test.Cacheable()
	first, err := client.CacheableUnaryCall(ctx, request)
	if err != nil {
		return err
	}
	second, err := client.CacheableUnaryCall(ctx, request)
	if err != nil {
		return err
	}
	return test.CheckCached(first, second)
}

func clientCompressedUnary(ctx context.Context, channel *http.Client) error {
	_, err := newClient(channel).UnaryCall(ctx, test.LargeExpecting(true))
	if err := test.CheckStatus(asStatus(err), codes.InvalidArgument); err != nil {
		return err
	}
	for _, compressed := range []bool{true, false} {
		ctx, messages := compression.WithCall(ctx)
		messages.CompressEach(compressed)
		if err := callLarge(ctx, newGzipClient(channel), test.LargeExpecting(compressed)); err != nil {
			return err
		}
	}
	return nil
}

func serverCompressedUnary(ctx context.Context, client interopconnect.TestServiceClient) error {
	for _, compressed := range []bool{true, false} {
		ctx, messages := compression.WithCall(ctx)
		response, err := client.UnaryCall(ctx, test.LargeWanting(compressed))
		if err != nil {
			return err
		}
		if err := test.CheckCompressedResponse(response, messages.Received(), compressed); err != nil {
			return err
		}
	}
	return nil
}

func clientStreaming(ctx context.Context, client interopconnect.TestServiceClient) error {
	response, err := sendInputs(ctx, client, test.Inputs()...)
	if err != nil {
		return err
	}
	return test.CheckAggregated(response)
}

func clientCompressedStreaming(ctx context.Context, channel *http.Client) error {
	compressed, plain := test.CompressedInputs()
	_, err := sendInputs(ctx, newClient(channel), compressed)
	if err := test.CheckStatus(asStatus(err), codes.InvalidArgument); err != nil {
		return err
	}
	ctx, messages := compression.WithCall(ctx)
	messages.CompressEach(true, false)
	response, err := sendInputs(ctx, newGzipClient(channel), compressed, plain)
	if err != nil {
		return err
	}
	return test.CheckCompressedAggregated(response)
}

func serverStreaming(ctx context.Context, client interopconnect.TestServiceClient) error {
	responses, err := receiveOutputs(ctx, client, test.Output())
	if err != nil {
		return err
	}
	return test.CheckOutputs(responses)
}

func serverCompressedStreaming(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, messages := compression.WithCall(ctx)
	responses, err := receiveOutputs(ctx, client, test.CompressedOutput())
	if err != nil {
		return err
	}
	return test.CheckCompressedOutputs(responses, messages.Received())
}

func pingPong(ctx context.Context, client interopconnect.TestServiceClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
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

func halfDuplex(ctx context.Context, client interopconnect.TestServiceClient) error {
	stream, err := client.HalfDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	for _, request := range test.Outputs() {
		if err := stream.Send(request); err != nil {
			break // Receive returns the status
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	var responses []*testpb.StreamingOutputCallResponse
	for {
		response, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return test.CheckOutputs(responses)
		}
		if err != nil {
			return err
		}
		responses = append(responses, response)
	}
}

func emptyStream(ctx context.Context, client interopconnect.TestServiceClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	return end(stream)
}

func customMetadata(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set(test.InitialKey, test.InitialValue)
	info.RequestHeader().Set(test.TrailingKey, connect.EncodeBinaryHeader([]byte(test.TrailingValue)))
	if err := callLarge(ctx, client, test.Large()); err != nil {
		return err
	}
	if err := checkEchoes(info.ResponseHeader(), info.ResponseTrailer()); err != nil {
		return err
	}
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
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
	return checkEchoes(stream.ResponseHeader(), stream.ResponseTrailer())
}

func checkEchoes(header, trailer http.Header) error {
	trailing, err := binaryValues(trailer, test.TrailingKey)
	if err != nil {
		return err
	}
	return test.CheckEchoes(header.Values(test.InitialKey), trailing)
}

func statusCodeAndMessage(ctx context.Context, client interopconnect.TestServiceClient) error {
	_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: test.Status()})
	if err := test.CheckEchoedStatus(asStatus(err), test.Status()); err != nil {
		return err
	}
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	_, err = exchange(stream, &testpb.StreamingOutputCallRequest{ResponseStatus: test.Status()})
	return test.CheckEchoedStatus(asStatus(err), test.Status())
}

func specialStatusMessage(ctx context.Context, client interopconnect.TestServiceClient) error {
	_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: test.SpecialStatus()})
	return test.CheckEchoedStatus(asStatus(err), test.SpecialStatus())
}

func unimplementedMethod(ctx context.Context, client interopconnect.TestServiceClient) error {
	_, err := client.UnimplementedCall(ctx, &testpb.Empty{})
	return test.CheckStatus(asStatus(err), codes.Unimplemented)
}

func unimplementedService(ctx context.Context, channel *http.Client) error {
	client := interopconnect.NewUnimplementedServiceClient(channel, samehost.BaseURL, Options())
	_, err := client.UnimplementedCall(ctx, &testpb.Empty{})
	return test.CheckStatus(asStatus(err), codes.Unimplemented)
}

func cancelAfterBegin(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	// Send(nil) sends only the headers, which starts the call.
	if err := stream.Send(nil); err != nil {
		return err
	}
	cancel()
	_, err = stream.CloseAndReceive()
	return test.CheckStatus(asStatus(err), codes.Canceled)
}

func cancelAfterFirstResponse(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	response, err := exchange(stream, test.PingPong()[0])
	if err != nil {
		return err
	}
	if err := test.CheckPong(response, 0); err != nil {
		return err
	}
	cancel()
	_, err = stream.Receive()
	return test.CheckStatus(asStatus(err), codes.Canceled)
}

func timeoutOnSleepingServer(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, test.SleeperTimeout)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	// If the deadline has already passed, Receive reports it too.
	_ = stream.Send(test.Sleeper())
	_, err = stream.Receive()
	return test.CheckStatus(asStatus(err), codes.DeadlineExceeded)
}

func pickFirstUnary(ctx context.Context, client interopconnect.TestServiceClient) error {
	return test.SameServer(func() (*testpb.SimpleResponse, error) {
		return client.UnaryCall(ctx, &testpb.SimpleRequest{FillServerId: true})
	})
}

func concurrentLargeUnary(ctx context.Context, client interopconnect.TestServiceClient) error {
	request := test.Large()
	return test.Concurrently(func() error { return callLarge(ctx, client, request) })
}

func rpcSoak(ctx context.Context, client interopconnect.TestServiceClient) error {
	return test.Soak(func() error { return largeUnary(ctx, client) })
}

func channelSoak(ctx context.Context, path string) error {
	return test.Soak(func() error { return withClient(largeUnary)(ctx, path) })
}

func orcaPerRPC(ctx context.Context, client interopconnect.TestServiceClient) error {
	ctx, info := connect.NewClientContext(ctx)
	request := &testpb.SimpleRequest{OrcaPerQueryReport: test.CallReport()}
	if _, err := client.UnaryCall(ctx, request); err != nil {
		return err
	}
	reports, err := binaryValues(info.ResponseTrailer(), test.LoadReportKey)
	if err != nil {
		return err
	}
	return test.CheckCallReport(reports)
}

func orcaOutOfBand(ctx context.Context, channel *http.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := newClient(channel).FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseResponse()
	var reports *connect.ServerStreamForClient[orcadata.OrcaLoadReport]
	for _, report := range test.OutOfBandReports() {
		response, err := exchange(stream, test.Reporting(report))
		if err != nil {
			return err
		}
		if err := test.CheckReportSet(response); err != nil {
			return err
		}
		if reports == nil {
			if reports, err = listen(ctx, channel); err != nil {
				return err
			}
			defer reports.Close()
		}
		err = test.AwaitReport(report, func() (*orcadata.OrcaLoadReport, error) {
			if reports.Receive() {
				return reports.Msg(), nil
			}
			return nil, errors.Join(io.EOF, reports.Err())
		})
		if err != nil {
			return err
		}
	}
	return end(stream)
}

// listen calls OpenRcaService, whose published Go code only supports grpc-go.
func listen(ctx context.Context, channel *http.Client) (*connect.ServerStreamForClient[orcadata.OrcaLoadReport], error) {
	const procedure = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"
	client := connect.NewClient[orcaservice.OrcaLoadReportRequest, orcadata.OrcaLoadReport](
		channel, samehost.BaseURL+procedure, Options())
	return client.CallServerStream(ctx, connect.NewRequest(test.Listen()))
}

type duplex = connect.BidiStreamForClientSimple[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]

// exchange sends a request and receives its response.
func exchange(
	stream *duplex, request *testpb.StreamingOutputCallRequest,
) (*testpb.StreamingOutputCallResponse, error) {
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.Receive()
}

// end closes the sending side and returns an error unless the stream ends with OK.
func end(stream *duplex) error {
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	_, err := stream.Receive()
	return test.CheckEnd(err)
}

func sendInputs(
	ctx context.Context, client interopconnect.TestServiceClient, inputs ...*testpb.StreamingInputCallRequest,
) (*testpb.StreamingInputCallResponse, error) {
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		return nil, err
	}
	for _, input := range inputs {
		if err := stream.Send(input); err != nil {
			break // CloseAndReceive returns the status
		}
	}
	return stream.CloseAndReceive()
}

func receiveOutputs(
	ctx context.Context, client interopconnect.TestServiceClient, request *testpb.StreamingOutputCallRequest,
) ([]*testpb.StreamingOutputCallResponse, error) {
	stream, err := client.StreamingOutputCall(ctx, request)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var responses []*testpb.StreamingOutputCallResponse
	for stream.Receive() {
		responses = append(responses, stream.Msg())
	}
	return responses, stream.Err()
}

// binaryValues returns the values of a key that ends with -bin.
func binaryValues(header http.Header, key string) ([]string, error) {
	var values []string
	for _, encoded := range header.Values(key) {
		value, err := connect.DecodeBinaryHeader(encoded)
		if err != nil {
			return nil, err
		}
		values = append(values, string(value))
	}
	return values, nil
}
