package interoptest

import (
	"strconv"
	"time"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcaservice "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	testpb "example.com/samehost/go/gen/samehost/interop"
)

const (
	largeRequestBytes  = 271828
	largeResponseBytes = 314159

	// SleeperTimeout is the deadline of timeout_on_sleeping_server.
	SleeperTimeout = time.Millisecond

	// InitialKey and InitialValue are metadata that the server echoes in its headers.
	InitialKey   = "x-grpc-test-echo-initial"
	InitialValue = "test_initial_metadata_value"
	// TrailingKey and TrailingValue are metadata that the server echoes in its trailers.
	TrailingKey   = "x-grpc-test-echo-trailing-bin"
	TrailingValue = "\xab\xab\xab"
	// UserIPKey and UserIP are metadata of cacheable_unary, because some proxies cache nothing for callers on their own host.
	UserIPKey = "x-user-ip"
	UserIP    = "1.2.3.4"

	// LoadReportKey is the trailer with one call's serialized load report (gRFC A51).
	LoadReportKey = "endpoint-load-metrics-bin"
)

var (
	requestBytes            = []int32{27182, 8, 1828, 45904}
	responseBytes           = []int32{31415, 9, 2653, 58979}
	compressedRequestBytes  = []int32{27182, 45904}
	compressedResponseBytes = []int32{31415, 92653}
	compressedFlags         = []bool{true, false}
)

func zeros(size int32) *testpb.Payload { return &testpb.Payload{Body: make([]byte, size)} }

// Large is the request of large_unary.
func Large() *testpb.SimpleRequest {
	return &testpb.SimpleRequest{ResponseSize: largeResponseBytes, Payload: zeros(largeRequestBytes)}
}

// LargeExpecting is a large request with expect_compressed, which states whether the request is compressed.
func LargeExpecting(compressed bool) *testpb.SimpleRequest {
	request := Large()
	request.ExpectCompressed = &testpb.BoolValue{Value: compressed}
	return request
}

// LargeWanting is a large request with response_compressed, which selects a compressed response.
func LargeWanting(compressed bool) *testpb.SimpleRequest {
	request := Large()
	request.ResponseCompressed = &testpb.BoolValue{Value: compressed}
	return request
}

// Cacheable is a unique request: its payload is the current time.
func Cacheable() *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: strconv.AppendInt(nil, time.Now().UnixNano(), 10)}}
}

// Inputs are the requests of client_streaming.
func Inputs() []*testpb.StreamingInputCallRequest {
	var inputs []*testpb.StreamingInputCallRequest
	for _, size := range requestBytes {
		inputs = append(inputs, &testpb.StreamingInputCallRequest{Payload: zeros(size)})
	}
	return inputs
}

// CompressedInputs are the requests of client_compressed_streaming: one to send compressed and one to send uncompressed.
func CompressedInputs() (compressed, plain *testpb.StreamingInputCallRequest) {
	compressed = &testpb.StreamingInputCallRequest{
		Payload:          zeros(compressedRequestBytes[0]),
		ExpectCompressed: &testpb.BoolValue{Value: true},
	}
	plain = &testpb.StreamingInputCallRequest{
		Payload:          zeros(compressedRequestBytes[1]),
		ExpectCompressed: &testpb.BoolValue{Value: false},
	}
	return compressed, plain
}

func output(sizes ...int32) *testpb.StreamingOutputCallRequest {
	request := &testpb.StreamingOutputCallRequest{}
	for _, size := range sizes {
		request.ResponseParameters = append(request.ResponseParameters, &testpb.ResponseParameters{Size: size})
	}
	return request
}

// Output is the request of server_streaming.
func Output() *testpb.StreamingOutputCallRequest { return output(responseBytes...) }

// Outputs are the requests of half_duplex. Each selects one response.
func Outputs() []*testpb.StreamingOutputCallRequest {
	var outputs []*testpb.StreamingOutputCallRequest
	for _, size := range responseBytes {
		outputs = append(outputs, output(size))
	}
	return outputs
}

// CompressedOutput is the request of server_compressed_streaming.
func CompressedOutput() *testpb.StreamingOutputCallRequest {
	request := output(compressedResponseBytes...)
	for i, compressed := range compressedFlags {
		request.ResponseParameters[i].Compressed = &testpb.BoolValue{Value: compressed}
	}
	return request
}

// PingPong are the requests of ping_pong. Send each after the response to the previous one.
func PingPong() []*testpb.StreamingOutputCallRequest {
	requests := Outputs()
	for i, size := range requestBytes {
		requests[i].Payload = zeros(size)
	}
	return requests
}

// LargeOutput is the request of the stream of custom_metadata.
func LargeOutput() *testpb.StreamingOutputCallRequest {
	request := output(largeResponseBytes)
	request.Payload = zeros(largeRequestBytes)
	return request
}

// Sleeper is a request without an answer, because it selects no response.
func Sleeper() *testpb.StreamingOutputCallRequest {
	return &testpb.StreamingOutputCallRequest{Payload: zeros(requestBytes[0])}
}

// Status is the status that status_code_and_message requests.
func Status() *testpb.EchoStatus { return &testpb.EchoStatus{Code: 2, Message: "test status message"} }

// SpecialStatus is the status that special_status_message requests.
func SpecialStatus() *testpb.EchoStatus {
	return &testpb.EchoStatus{Code: 2, Message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"}
}

// CallReport is the load report of orca_per_rpc.
func CallReport() *testpb.TestOrcaReport {
	return &testpb.TestOrcaReport{
		CpuUtilization:    0.8210,
		MemoryUtilization: 0.5847,
		RequestCost:       map[string]float64{"cost": 3456.32},
		Utilization:       map[string]float64{"util": 0.30499},
	}
}

// OutOfBandReports are the load reports of orca_oob, in the order in which they are set.
func OutOfBandReports() []*testpb.TestOrcaReport {
	return []*testpb.TestOrcaReport{
		{CpuUtilization: 0.8210, MemoryUtilization: 0.5847, Utilization: map[string]float64{"util": 0.30499}},
		{CpuUtilization: 0.29309, MemoryUtilization: 0.2, Utilization: map[string]float64{"util": 0.2039}},
	}
}

// Reporting is a request that sets the out-of-band report and selects one response as a confirmation.
func Reporting(report *testpb.TestOrcaReport) *testpb.StreamingOutputCallRequest {
	request := output(1)
	request.OrcaOobReport = report
	return request
}

// Listen is the request for out-of-band reports.
func Listen() *orcaservice.OrcaLoadReportRequest {
	return &orcaservice.OrcaLoadReportRequest{ReportInterval: durationpb.New(100 * time.Millisecond)}
}

// LoadReport returns the message that a server sends for the report of a test.
func LoadReport(report *testpb.TestOrcaReport) *orcadata.OrcaLoadReport {
	return &orcadata.OrcaLoadReport{
		CpuUtilization: report.GetCpuUtilization(),
		MemUtilization: report.GetMemoryUtilization(),
		RequestCost:    report.GetRequestCost(),
		Utilization:    report.GetUtilization(),
	}
}
