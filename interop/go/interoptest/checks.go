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

// reportTime is how long a report out of band may take; the slowest interop servers send one each second.
const reportTime = 10 * time.Second

// checkError is a case that did not go as the description says.
type checkError struct{ error }

func (e checkError) Unwrap() error { return e.error }

func failf(format string, values ...any) error { return checkError{fmt.Errorf(format, values...)} }

func equal[T comparable](what string, got, expected T) error {
	if got != expected {
		return failf("%s: expected %v, got %v", what, expected, got)
	}
	return nil
}

// CheckEmpty fails unless a response has zero bytes.
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
		return failf("payload: expected %d zeros, got other bytes among them", size)
	}
	return nil
}

// CheckLarge fails unless a response is that of large_unary.
func CheckLarge(response *testpb.SimpleResponse) error {
	return checkPayload(response.GetPayload(), largeResponseBytes)
}

// CheckLargeOutput fails unless a response is that of custom_metadata's stream.
func CheckLargeOutput(response *testpb.StreamingOutputCallResponse) error {
	return checkPayload(response.GetPayload(), largeResponseBytes)
}

// CheckCached fails unless both responses have the same payload.
func CheckCached(first, second *testpb.SimpleResponse) error {
	return equal("payload of the second response",
		string(second.GetPayload().GetBody()), string(first.GetPayload().GetBody()))
}

// CheckAggregated fails unless a response is the sum of client_streaming.
func CheckAggregated(response *testpb.StreamingInputCallResponse) error {
	return checkSum(response, requestBytes)
}

// CheckCompressedAggregated fails unless a response is the sum of client_compressed_streaming.
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

// CheckOutputs fails unless a stream had exactly the responses of server_streaming, in order.
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

// CheckPong fails unless a response is the one to this request of ping_pong, counted from 0.
func CheckPong(response *testpb.StreamingOutputCallResponse, number int) error {
	return checkPayload(response.GetPayload(), responseBytes[number])
}

// CheckReportSet fails unless a response says that a report out of band is set.
func CheckReportSet(response *testpb.StreamingOutputCallResponse) error {
	return checkPayload(response.GetPayload(), 1)
}

// CheckEnd fails unless receiving once more says that the stream has ended well.
func CheckEnd(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return failf("end of the stream: expected no response, got one")
	default:
		return err
	}
}

// CheckCompressedResponse fails unless a response is that of large_unary and came compressed or not, as it was wanted.
func CheckCompressedResponse(response *testpb.SimpleResponse, came []bool, wanted bool) error {
	if err := checkFlags(came, []bool{wanted}); err != nil {
		return err
	}
	return CheckLarge(response)
}

// CheckCompressedOutputs fails unless a stream had the responses of server_compressed_streaming.
func CheckCompressedOutputs(responses []*testpb.StreamingOutputCallResponse, came []bool) error {
	if err := checkOutputs(responses, compressedResponseBytes); err != nil {
		return err
	}
	return checkFlags(came, compressedFlags)
}

func checkFlags(got, expected []bool) error {
	if !slices.Equal(got, expected) {
		return failf("compressed flags of the responses: expected %v, got %v", expected, got)
	}
	return nil
}

// CheckEchoes fails unless both pieces of metadata came back, each once and where it belongs.
func CheckEchoes(initial, trailing []string) error {
	if !slices.Equal(initial, []string{InitialValue}) {
		return failf("%s in initial metadata: expected [%q], got %q", InitialKey, InitialValue, initial)
	}
	if !slices.Equal(trailing, []string{TrailingValue}) {
		return failf("%s in trailing metadata: expected [%q], got %q", TrailingKey, TrailingValue, trailing)
	}
	return nil
}

// CheckStatus fails unless a call ended with this code.
func CheckStatus(err error, code codes.Code) error {
	return equal("status code", status.Code(err), code)
}

// CheckEchoedStatus fails unless a call ended with the status that it asked for.
func CheckEchoedStatus(err error, wanted *testpb.EchoStatus) error {
	if err := CheckStatus(err, codes.Code(wanted.GetCode())); err != nil {
		return err
	}
	if got := status.Convert(err).Message(); got != wanted.GetMessage() {
		return failf("status message: expected %q, got %q", wanted.GetMessage(), got)
	}
	return nil
}

// CheckCallReport fails unless the trailers of a call have the load report that it asked for.
func CheckCallReport(serialized []string) error {
	if err := equal("number of "+LoadReportKey+" in the trailing metadata", len(serialized), 1); err != nil {
		return err
	}
	got := &orcadata.OrcaLoadReport{}
	if err := proto.Unmarshal([]byte(serialized[0]), got); err != nil {
		return failf("load report: expected a serialized one, got %q: %w", serialized[0], err)
	}
	if expected := LoadReport(CallReport()); !proto.Equal(got, expected) {
		return failf("load report: expected %v, got %v", expected, got)
	}
	return nil
}

// AwaitReport receives reports out of band until this one comes; older ones may come before, for some time.
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
