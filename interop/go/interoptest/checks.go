package interoptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

// reportTime is how long an out-of-band report may take. The slowest interop servers send one each second.
const reportTime = 10 * time.Second

// checkError is a difference between a response and the description of its case.
type checkError struct{ error }

func (e checkError) Unwrap() error { return e.error }

func failf(format string, values ...any) error { return checkError{fmt.Errorf(format, values...)} }

func equal[T comparable](what string, got, expected T) error {
	if got != expected {
		return failf("%s: expected %v, got %v", what, expected, got)
	}
	return nil
}

// CheckEmpty returns an error unless a response has zero bytes.
func CheckEmpty(response *testpb.Empty) error {
	return equal("size of the response in bytes", proto.Size(response), 0)
}

func checkPayload(got *testpb.Payload, size int32) error {
	if err := equal("payload type", got.GetType(), testpb.PayloadType_COMPRESSABLE); err != nil {
		return err
	}
	if err := equal("payload size", len(got.GetBody()), int(size)); err != nil {
		return err
	}
	if !bytes.Equal(got.GetBody(), make([]byte, size)) {
		return failf("payload: expected %d zeros, got other bytes", size)
	}
	return nil
}

// CheckLarge returns an error unless a response is the expected one of large_unary.
func CheckLarge(response *testpb.SimpleResponse) error {
	return checkPayload(response.GetPayload(), largeResponseBytes)
}

// CheckLargeOutput returns an error unless a response is the expected one of the stream of custom_metadata.
func CheckLargeOutput(response *testpb.StreamingOutputCallResponse) error {
	return checkPayload(response.GetPayload(), largeResponseBytes)
}

// CheckCached returns an error unless both responses have the same payload.
func CheckCached(first, second *testpb.SimpleResponse) error {
	return equal("payload of the second response",
		string(second.GetPayload().GetBody()), string(first.GetPayload().GetBody()))
}

// CheckAggregated returns an error unless a response is the sum of the sizes of client_streaming.
func CheckAggregated(response *testpb.StreamingInputCallResponse) error {
	return checkSum(response, requestBytes)
}

// CheckCompressedAggregated returns an error unless a response is the sum of the sizes of client_compressed_streaming.
func CheckCompressedAggregated(response *testpb.StreamingInputCallResponse) error {
	return checkSum(response, compressedRequestBytes)
}

func checkSum(response *testpb.StreamingInputCallResponse, sizes []int32) error {
	var sum int32
	for _, size := range sizes {
		sum += size
	}
	return equal("aggregated_payload_size", response.GetAggregatedPayloadSize(), sum)
}

// CheckOutputs returns an error unless a stream had exactly the responses of server_streaming, in order.
func CheckOutputs(responses []*testpb.StreamingOutputCallResponse) error {
	return checkOutputs(responses, responseBytes)
}

func checkOutputs(responses []*testpb.StreamingOutputCallResponse, sizes []int32) error {
	if err := equal("number of responses", len(responses), len(sizes)); err != nil {
		return err
	}
	for i, response := range responses {
		if err := checkPayload(response.GetPayload(), sizes[i]); err != nil {
			return failf("response %d: %w", i+1, err)
		}
	}
	return nil
}

// CheckPong returns an error unless a response is the one to request number of ping_pong. The first number is 0.
func CheckPong(response *testpb.StreamingOutputCallResponse, number int) error {
	return checkPayload(response.GetPayload(), responseBytes[number])
}

// CheckReportSet returns an error unless a response confirms that an out-of-band report is set.
func CheckReportSet(response *testpb.StreamingOutputCallResponse) error {
	return checkPayload(response.GetPayload(), 1)
}

// CheckEnd takes the error of the last receive. It returns an error unless the stream ended with OK.
func CheckEnd(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return failf("end of the stream: expected no response, got a response")
	default:
		return err
	}
}

// CheckCompressedResponse returns an error unless a response is the expected one of large_unary and was compressed as wanted.
func CheckCompressedResponse(response *testpb.SimpleResponse, compressed []bool, wanted bool) error {
	if err := checkFlags(compressed, []bool{wanted}); err != nil {
		return err
	}
	return CheckLarge(response)
}

// CheckCompressedOutputs returns an error unless a stream had the responses of server_compressed_streaming.
func CheckCompressedOutputs(responses []*testpb.StreamingOutputCallResponse, compressed []bool) error {
	if err := checkOutputs(responses, compressedResponseBytes); err != nil {
		return err
	}
	return checkFlags(compressed, compressedFlags)
}

func checkFlags(got, expected []bool) error {
	if !slices.Equal(got, expected) {
		return failf("compressed flags of the responses: expected %v, got %v", expected, got)
	}
	return nil
}

// CheckEchoes returns an error unless the server echoed each key once, in the right place.
func CheckEchoes(initial, trailing []string) error {
	if !slices.Equal(initial, []string{InitialValue}) {
		return failf("%s in initial metadata: expected [%q], got %q", InitialKey, InitialValue, initial)
	}
	if !slices.Equal(trailing, []string{TrailingValue}) {
		return failf("%s in trailing metadata: expected [%q], got %q", TrailingKey, TrailingValue, trailing)
	}
	return nil
}

// CheckStatus returns an error unless a call ended with this code.
func CheckStatus(err error, code codes.Code) error {
	return equal("status code", status.Code(err), code)
}

// CheckEchoedStatus returns an error unless a call ended with the status that it requested.
func CheckEchoedStatus(err error, wanted *testpb.EchoStatus) error {
	if err := CheckStatus(err, codes.Code(wanted.GetCode())); err != nil {
		return err
	}
	if got := status.Convert(err).Message(); got != wanted.GetMessage() {
		return failf("status message: expected %q, got %q", wanted.GetMessage(), got)
	}
	return nil
}

// CheckCallReport returns an error unless the trailers of a call have the load report that it requested.
func CheckCallReport(serialized []string) error {
	if err := equal("number of "+LoadReportKey+" in the trailing metadata", len(serialized), 1); err != nil {
		return err
	}
	got := &orcadata.OrcaLoadReport{}
	if err := proto.Unmarshal([]byte(serialized[0]), got); err != nil {
		return failf("load report: expected a serialized message, got %q: %w", serialized[0], err)
	}
	if expected := LoadReport(CallReport()); !proto.Equal(got, expected) {
		return failf("load report: expected %v, got %v", expected, got)
	}
	return nil
}

// AwaitReport receives out-of-band reports until this one arrives. Older reports may arrive before.
func AwaitReport(report *testpb.TestOrcaReport, receive func() (*orcadata.OrcaLoadReport, error)) error {
	expected := LoadReport(report)
	for last := time.Now().Add(reportTime); ; {
		got, err := receive()
		switch {
		case errors.Is(err, io.EOF):
			return failf("load report: expected %v, got the end of the stream", expected)
		case err != nil:
			return err
		case proto.Equal(got, expected):
			return nil
		case time.Now().After(last):
			return failf("load report after %s: expected %v, got %v", reportTime, expected, got)
		}
	}
}
