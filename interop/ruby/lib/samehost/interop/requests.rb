# frozen_string_literal: true

require 'samehost/interop/load_reports'
require 'samehost/interop/orca_service_pb'
require 'samehost/interop/testing_pb'

module Samehost
  module Interop
    # The requests of the official cases (grpc/grpc doc/interop-test-descriptions.md).
    module Requests
      include Grpc::Testing

      LARGE_REQUEST_BYTES = 271_828
      LARGE_RESPONSE_BYTES = 314_159
      REQUEST_BYTES = [27_182, 8, 1828, 45_904].freeze
      RESPONSE_BYTES = [31_415, 9, 2653, 58_979].freeze
      COMPRESSED_REQUEST_BYTES = [27_182, 45_904].freeze

      # The two sizes of server_compressed_streaming, in order. The keys select compression.
      COMPRESSED_RESPONSE_BYTES = { true => 31_415, false => 92_653 }.freeze

      ECHO_INITIAL = { 'x-grpc-test-echo-initial' => 'test_initial_metadata_value' }.freeze
      ECHO_TRAILING = { 'x-grpc-test-echo-trailing-bin' => "\xab\xab\xab".b }.freeze

      # Metadata of cacheable_unary, because some proxies cache nothing for callers on their own host.
      USER_IP = { 'x-user-ip' => '1.2.3.4' }.freeze

      STATUS = EchoStatus.new(code: 2, message: 'test status message')
      SPECIAL_STATUS = EchoStatus.new(
        code: 2, message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
      )

      PER_CALL_REPORT = TestOrcaReport.new(
        cpu_utilization: 0.8210, memory_utilization: 0.5847,
        request_cost: { 'cost' => 3456.32 }, utilization: { 'util' => 0.30499 }
      )
      OUT_OF_BAND_REPORTS = [
        TestOrcaReport.new(cpu_utilization: 0.8210, memory_utilization: 0.5847, utilization: { 'util' => 0.30499 }),
        TestOrcaReport.new(cpu_utilization: 0.29309, memory_utilization: 0.2, utilization: { 'util' => 0.2039 })
      ].freeze

      LISTEN = Xds::Service::Orca::V3::OrcaLoadReportRequest.new(
        report_interval: Google::Protobuf::Duration.new(nanos: 100_000_000)
      )

      module_function

      # A payload of zeros.
      def payload(size)
        Payload.new(body: "\0".b * size)
      end

      def large(**fields)
        SimpleRequest.new(response_size: LARGE_RESPONSE_BYTES, payload: payload(LARGE_REQUEST_BYTES), **fields)
      end

      # A large request with expect_compressed, which states whether the request is compressed.
      def large_expecting(compressed)
        large(expect_compressed: BoolValue.new(value: compressed))
      end

      # A large request with response_compressed, which selects a compressed response.
      def large_response(compressed)
        large(response_compressed: BoolValue.new(value: compressed))
      end

      # A unique request: its payload is the current time.
      def cacheable
        SimpleRequest.new(payload: Payload.new(body: Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond).to_s))
      end

      def inputs
        REQUEST_BYTES.map { |size| StreamingInputCallRequest.new(payload: payload(size)) }
      end

      # A request of client_compressed_streaming with expect_compressed.
      def input_expecting(compressed, size)
        StreamingInputCallRequest.new(payload: payload(size), expect_compressed: BoolValue.new(value: compressed))
      end

      # A request for responses of these sizes.
      def output(*sizes, **fields)
        parameters = sizes.map { |size| ResponseParameters.new(size:) }
        StreamingOutputCallRequest.new(response_parameters: parameters, **fields)
      end

      # The request of server_compressed_streaming.
      def compressed_output
        parameters = COMPRESSED_RESPONSE_BYTES.map do |compressed, size|
          ResponseParameters.new(size:, compressed: BoolValue.new(value: compressed))
        end
        StreamingOutputCallRequest.new(response_parameters: parameters)
      end

      # The requests of ping_pong. Send each after the response to the previous one.
      def ping_pong
        REQUEST_BYTES.zip(RESPONSE_BYTES).map do |request_bytes, response_bytes|
          output(response_bytes, payload: payload(request_bytes))
        end
      end

      # The request of the stream of custom_metadata.
      def large_output
        output(LARGE_RESPONSE_BYTES, payload: payload(LARGE_REQUEST_BYTES))
      end

      # A request without an answer, because it selects no response.
      def sleeper
        output(payload: payload(REQUEST_BYTES.first))
      end

      # A request that sets the out-of-band report and selects one response as a confirmation.
      def reporting(report)
        output(1, orca_oob_report: report)
      end
    end
  end
end
