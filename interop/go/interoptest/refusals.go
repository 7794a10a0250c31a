package interoptest

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

// MaxMessageBytes is the longest message in either direction, and gRPC's own default for what an end takes in.
const MaxMessageBytes = 4 * 1024 * 1024

// Refusal is the status that a call ends with instead of a response, because it is asked for, or can't be answered.
func Refusal(request interface {
	GetResponseStatus() *testpb.EchoStatus
	GetResponseType() testpb.PayloadType
}, sizes ...int32) error {
	if wanted := request.GetResponseStatus(); wanted.GetCode() != 0 {
		code := codes.Code(wanted.GetCode())
		if code > codes.Unauthenticated {
			code = codes.Unknown
		}
		return status.Error(code, wanted.GetMessage())
	}
	if kind := request.GetResponseType(); kind != testpb.PayloadType_COMPRESSABLE {
		return status.Errorf(codes.InvalidArgument, "response_type is %d; 0 is the one there is", kind)
	}
	for _, size := range sizes {
		if size < 0 || size > MaxMessageBytes {
			return status.Errorf(codes.InvalidArgument, "a size is %d bytes; ask for 0 to %d", size, MaxMessageBytes)
		}
	}
	return nil
}

// CompressionRefusal is the status where a request came otherwise than it says, if it says anything.
func CompressionRefusal(expected *testpb.BoolValue, cameCompressed bool) error {
	if expected == nil || expected.GetValue() == cameCompressed {
		return nil
	}
	came := "uncompressed"
	if cameCompressed {
		came = "compressed"
	}
	return status.Errorf(codes.InvalidArgument, "expect_compressed is %t and the message came %s", expected.GetValue(), came)
}

// Pause is how long to wait before a response.
func Pause(parameters *testpb.ResponseParameters) time.Duration {
	return time.Duration(parameters.GetIntervalUs()) * time.Microsecond
}
