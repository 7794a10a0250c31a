# frozen_string_literal: true

require 'samehost'
require 'samehost/interop/checks'
require 'samehost/interop/compression'
require 'samehost/interop/duplex'
require 'samehost/interop/orca_service_services_pb'
require 'samehost/interop/requests'
require 'samehost/interop/soak'
require 'samehost/interop/testing_services_pb'

module Samehost
  module Interop
    # The official cases. Each method has the name of its case. Requests has their requests, and Checks their checks.
    class Cases
      # Deadline of each call in seconds, so that no case hangs. A call over a socket takes milliseconds.
      DEADLINE = 30

      # The deadline of timeout_on_sleeping_server in seconds.
      TIMEOUT = 0.001

      CONCURRENT_CALLS = 1000

      # Deadline in seconds for all of them together.
      CONCURRENT_DEADLINE = 60

      # How many calls must reach the same server. The description has no number; grpc-go and grpc-java use this one.
      PICK_FIRST_CALLS = 100

      # Gives a channel its own connection. Otherwise C-core's channels to one address share a connection.
      OWN_CONNECTION = { 'grpc.use_local_subchannel_pool' => 1 }.freeze

      UNARY_PATH = '/grpc.testing.TestService/UnaryCall'
      OUTPUT_PATH = '/grpc.testing.TestService/StreamingOutputCall'

      # Yields the cases over a new channel.
      def self.open(address, args = {})
        Samehost.channel(address, args:) { |channel| yield new(address, channel) }
      end

      def initialize(address, channel)
        @address = address
        @channel = channel
        @stub = stub(Grpc::Testing::TestService::Stub)
      end

      def empty_unary
        Checks.empty(@stub.empty_call(Grpc::Testing::Empty.new))
      end

      def large_unary
        Checks.large(@stub.unary_call(Requests.large))
      end

      # C-core clients can no longer mark a request as cacheable (https://github.com/grpc/grpc/pull/28922), so this
      # sends POST requests. The payloads are equal because the server returns the same answer for the same request.
      def cacheable_unary
        request = Requests.cacheable
        first, second = Array.new(2) { @stub.cacheable_unary_call(request, { metadata: Requests::USER_IP }) }
        Checks.cached(first, second)
      end

      def client_compressed_unary
        Checks.status(:INVALID_ARGUMENT) { @stub.unary_call(Requests.large_expecting(true)) }
        Checks.large(@stub.unary_call(Requests.large_expecting(true), { metadata: Compression::GZIP }))
        Checks.large(@stub.unary_call(Requests.large_expecting(false)))
      end

      def server_compressed_unary
        Cases.open(@address, Compression::AS_SENT) do |as_sent|
          [true, false].each do |compressed|
            received = as_sent.unary_call_as_sent(Requests.large_response(compressed))
            Checks.large_with_compression(received, compressed)
          end
        end
      end

      def client_streaming
        Checks.aggregated(@stub.streaming_input_call(Requests.inputs), Requests::REQUEST_BYTES)
      end

      def client_compressed_streaming
        first, second = Requests::COMPRESSED_REQUEST_BYTES
        probe = Requests.input_expecting(true, first)
        Checks.status(:INVALID_ARGUMENT) { @stub.streaming_input_call([probe]) }
        response = compressed_input_call([[probe, Compression::COMPRESSED],
                                          [Requests.input_expecting(false, second), Compression::PLAIN]])
        Checks.aggregated(response, [first, second])
      end

      def server_streaming
        responses = @stub.streaming_output_call(Requests.output(*Requests::RESPONSE_BYTES))
        Checks.outputs(responses.to_a, Requests::RESPONSE_BYTES)
      end

      def server_compressed_streaming
        Cases.open(@address, Compression::AS_SENT) do |as_sent|
          Checks.outputs_with_compression(as_sent.output_call_as_sent(Requests.compressed_output))
        end
      end

      def ping_pong
        Duplex.open(@stub) do |stream|
          Requests.ping_pong.zip(Requests::RESPONSE_BYTES).each do |request, size|
            stream.send(request)
            Checks.output(stream.receive, size)
          end
          stream.half_close
          Checks.end_of_stream(stream.receive)
        end
      end

      def half_duplex
        requests = Requests::RESPONSE_BYTES.map { |size| Requests.output(size) }
        Checks.outputs(@stub.half_duplex_call(requests).to_a, Requests::RESPONSE_BYTES)
      end

      def empty_stream
        Duplex.open(@stub) do |stream|
          stream.half_close
          Checks.end_of_stream(stream.receive)
        end
      end

      def custom_metadata
        metadata = { **Requests::ECHO_INITIAL, **Requests::ECHO_TRAILING }
        call = @stub.unary_call(Requests.large, { metadata:, return_op: true })
        Checks.large(call.execute)
        Checks.echoes(call.metadata, call.trailing_metadata)
        Duplex.open(@stub, metadata:) do |stream|
          stream.send(Requests.large_output)
          stream.half_close
          Checks.output(stream.receive, Requests::LARGE_RESPONSE_BYTES)
          Checks.end_of_stream(stream.receive)
          Checks.echoes(stream.initial_metadata, stream.trailing_metadata)
        end
      end

      def status_code_and_message
        Checks.echoed_status(Requests::STATUS) do
          @stub.unary_call(Grpc::Testing::SimpleRequest.new(response_status: Requests::STATUS))
        end
        Duplex.open(@stub) do |stream|
          stream.send(Requests.output(response_status: Requests::STATUS))
          stream.half_close
          Checks.echoed_status(Requests::STATUS) { Checks.end_of_stream(stream.receive) }
        end
      end

      def special_status_message
        Checks.echoed_status(Requests::SPECIAL_STATUS) do
          @stub.unary_call(Grpc::Testing::SimpleRequest.new(response_status: Requests::SPECIAL_STATUS))
        end
      end

      def unimplemented_method
        Checks.status(:UNIMPLEMENTED) { @stub.unimplemented_call(Grpc::Testing::Empty.new) }
      end

      def unimplemented_service
        Checks.status(:UNIMPLEMENTED) do
          stub(Grpc::Testing::UnimplementedService::Stub).unimplemented_call(Grpc::Testing::Empty.new)
        end
      end

      # grpc reads the requests after the call has started.
      def cancel_after_begin
        call = nil
        requests = Enumerator.new { call.cancel }
        call = @stub.streaming_input_call(requests, { return_op: true })
        Checks.status(:CANCELLED) { call.execute }
      end

      def cancel_after_first_response
        Duplex.open(@stub) do |stream|
          stream.send(Requests.ping_pong.first)
          Checks.output(stream.receive, Requests::RESPONSE_BYTES.first)
          stream.cancel
          Checks.status(:CANCELLED) { Checks.end_of_stream(stream.receive) }
        end
      end

      def timeout_on_sleeping_server
        Checks.status(:DEADLINE_EXCEEDED) do
          Duplex.open(@stub, deadline: Time.now + TIMEOUT) do |stream|
            stream.send(Requests.sleeper)
            Checks.end_of_stream(stream.receive)
          end
        end
      end

      def pick_first_unary
        request = Grpc::Testing::SimpleRequest.new(fill_server_id: true)
        Checks.same_server(Array.new(PICK_FIRST_CALLS) { @stub.unary_call(request).server_id })
      end

      def concurrent_large_unary
        request = Requests.large
        deadline = Time.now + CONCURRENT_DEADLINE
        calls = Array.new(CONCURRENT_CALLS) do
          Thread.new { @stub.unary_call(request, { deadline: }) }.tap { |thread| thread.report_on_exception = false }
        end
        calls.each { |call| Checks.large(call.value) }
      end

      def rpc_soak
        Soak.run { large_unary }
      end

      def channel_soak
        Soak.run { Cases.open(@address, OWN_CONNECTION, &:large_unary) }
      end

      # Known failure: C-core passes the trailer only to load balancing policies.
      def orca_per_rpc
        request = Grpc::Testing::SimpleRequest.new(orca_per_query_report: Requests::PER_CALL_REPORT)
        call = @stub.unary_call(request, { return_op: true })
        call.execute
        Checks.reported_with_call(call.trailing_metadata)
      end

      def orca_oob
        listener = stub(Xds::Service::Orca::V3::OpenRcaService::Stub)
        listening = listener.stream_core_metrics(Requests::LISTEN, { return_op: true })
        reports = listening.execute
        Duplex.open(@stub) do |stream|
          Requests::OUT_OF_BAND_REPORTS.each do |report|
            stream.send(Requests.reporting(report))
            Checks.output(stream.receive, 1)
            Checks.awaited_report(reports, report)
          end
          stream.half_close
          Checks.end_of_stream(stream.receive)
        end
      ensure
        listening&.cancel
      end

      # The names of the cases.
      NAMES = instance_methods(false).map(&:to_s).freeze

      # Calls UnaryCall over a channel with Compression::AS_SENT.
      def unary_call_as_sent(request)
        @stub.request_response(UNARY_PATH, request, Grpc::Testing::SimpleRequest.method(:encode),
                               receiving(Grpc::Testing::SimpleResponse))
      end

      # Calls StreamingOutputCall over a channel with Compression::AS_SENT.
      def output_call_as_sent(request)
        @stub.server_streamer(OUTPUT_PATH, request, Grpc::Testing::StreamingOutputCallRequest.method(:encode),
                              receiving(Grpc::Testing::StreamingOutputCallResponse)).to_a
      end

      private

      def stub(stub_class)
        stub_class.new(nil, nil, channel_override: @channel, timeout: DEADLINE)
      end

      def receiving(message_class)
        ->(bytes) { Compression.receive(bytes, message_class.method(:decode)) }
      end

      # Makes a call with gzip and sets the write flag before it sends each request.
      def compressed_input_call(requests_and_flags)
        call = nil
        requests = Enumerator.new do |sent|
          requests_and_flags.each do |request, flag|
            call.write_flag = flag
            sent << request
          end
        end
        call = @stub.streaming_input_call(requests, { metadata: Compression::GZIP, return_op: true })
        call.execute
      end
    end
  end
end
