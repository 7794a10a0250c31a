package interoptest

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

// MaxMessageBytes is the longest message in either direction. It is gRPC's default limit for received messages.
const MaxMessageBytes = 4 * 1024 * 1024

// Refusal returns the status that the request selects, or INVALID_ARGUMENT if it cannot be answered. It returns nil if the
// server should respond.
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
		return status.Errorf(codes.InvalidArgument, "invalid response_type %d; use 0", kind)
	}
	for _, size := range sizes {
		if size < 0 || size > MaxMessageBytes {
			return status.Errorf(codes.InvalidArgument, "invalid size %d; use 0 to %d bytes", size, MaxMessageBytes)
		}
	}
	return nil
}

// CompressionRefusal returns INVALID_ARGUMENT if the compression of a request differs from its expect_compressed.
func CompressionRefusal(expected *testpb.BoolValue, wasCompressed bool) error {
	if expected == nil || expected.GetValue() == wasCompressed {
		return nil
	}
	actual := "uncompressed"
	if wasCompressed {
		actual = "compressed"
	}
	return status.Errorf(codes.InvalidArgument, "expect_compressed is %t, but the message was %s", expected.GetValue(), actual)
}

// Pause returns the time to wait before a response.
func Pause(parameters *testpb.ResponseParameters) time.Duration {
	return time.Duration(parameters.GetIntervalUs()) * time.Microsecond
}
