# frozen_string_literal: true

require 'securerandom'
require 'socket'
require 'samehost/interop/compression'
require 'samehost/interop/load_reports'
require 'samehost/interop/testing_services_pb'
require 'samehost'

module Samehost
  module Interop
    # grpc.testing.TestService (grpc/grpc doc/interop-test-descriptions.md). It keeps the generated UnimplementedCall,
    # which returns UNIMPLEMENTED, because servers must not implement it.
    class Service < Grpc::Testing::TestService::Service
      ECHO_INITIAL = 'x-grpc-test-echo-initial'
      ECHO_TRAILING = 'x-grpc-test-echo-trailing-bin'

      # Allows a proxy to cache a response. The official description has this time.
      CACHEABLE = { 'cache-control' => 'max-age=60, public' }.freeze

      # The name of this server, which never changes.
      SERVER_ID = "#{Socket.gethostname}-#{Process.pid}-#{SecureRandom.hex}".freeze

      # The status codes of gRPC. A test may request any number.
      CODES = (GRPC::Core::StatusCodes::OK..GRPC::Core::StatusCodes::UNAUTHENTICATED)

      def initialize(reports)
        super()
        @reports = reports
      end

      def empty_call(_request, _call)
        Grpc::Testing::Empty.new
      end

      # Returns the payload, status, metadata and load report that the request selects.
      def unary_call(request, call)
        echo_metadata(call)
        report(request, call)
        refuse(request, [request.response_size], call)
        Compression.allow(call) if request.response_compressed&.value
        Grpc::Testing::SimpleResponse.new(
          payload: payload(request.response_size), hostname: Socket.gethostname,
          server_id: request.fill_server_id ? SERVER_ID : ''
        )
      end

      # Returns the payload of the request and allows a proxy to cache the answer.
      def cacheable_unary_call(request, call)
        call.merge_metadata_to_send(CACHEABLE)
        Grpc::Testing::SimpleResponse.new(payload: request.payload)
      end

      # Sends all responses that the request selects.
      def streaming_output_call(request, call, &block)
        return enum_for(:streaming_output_call, request, call) unless block_given?

        respond(request, call, &block)
      end

      # Returns the sum of the payload sizes.
      def streaming_input_call(call)
        size = call.each_remote_read.sum { |request| body_size(request) }
        Grpc::Testing::StreamingInputCallResponse.new(aggregated_payload_size: size)
      end

      # Answers each request when it arrives.
      def full_duplex_call(requests, call, &block)
        return enum_for(:full_duplex_call, requests, call) unless block_given?

        echo_metadata(call)
        requests.each do |request|
          @reports.set(LoadReports.report(request.orca_oob_report)) if request.orca_oob_report
          respond(request, call, &block)
        end
      ensure
        @reports.leave
      end

      # Answers the requests when all have arrived.
      def half_duplex_call(requests, call, &block)
        return enum_for(:half_duplex_call, requests, call) unless block_given?

        requests.to_a.each { |request| respond(request, call, &block) }
      end

      private

      def respond(request, call)
        refuse(request, request.response_parameters.map(&:size), call)
        Compression.allow(call) if request.response_parameters.any? { |parameters| compressed?(parameters) }
        request.response_parameters.each do |parameters|
          sleep(parameters.interval_us / 1e6) if parameters.interval_us.positive?
          call.write_flag = compressed?(parameters) ? Compression::COMPRESSED : Compression::PLAIN
          yield output(parameters, call)
        end
      end

      def compressed?(parameters)
        parameters.compressed&.value
      end

      def output(parameters, call)
        Grpc::Testing::StreamingOutputCallResponse.new(
          payload: payload(parameters.size),
          peer_socket_address: parameters.fill_peer_socket_address&.value ? call.peer : ''
        )
      end

      def echo_metadata(call)
        initial, trailing = call.metadata.values_at(ECHO_INITIAL, ECHO_TRAILING)
        call.merge_metadata_to_send(ECHO_INITIAL => initial) if initial
        call.output_metadata[ECHO_TRAILING] = trailing if trailing
      end

      def report(request, call)
        requested = request.orca_per_query_report or return
        report = LoadReports.report(requested)
        call.output_metadata[LoadReports::TRAILER] = Xds::Data::Orca::V3::OrcaLoadReport.encode(report)
      end

      # Raises the status that the request selects, or INVALID_ARGUMENT if it cannot be answered.
      def refuse(request, sizes, call)
        status = request.response_status
        if status && !status.code.zero?
          code = CODES.cover?(status.code) ? status.code : GRPC::Core::StatusCodes::UNKNOWN
          raise GRPC::BadStatus.new_status_exception(code, status.message, call.output_metadata)
        end
        fault = type_fault(request.response_type) || size_fault(sizes)
        raise GRPC::InvalidArgument, fault if fault
      end

      def type_fault(type)
        "invalid response_type #{type}; use 0" unless type == :COMPRESSABLE
      end

      def size_fault(sizes)
        most = Transport::MAX_MESSAGE_BYTES
        size = sizes.find { |each| !each.between?(0, most) }
        "invalid size #{size}; use 0 to #{most} bytes" if size
      end

      def payload(size)
        Grpc::Testing::Payload.new(body: "\0".b * size)
      end

      def body_size(request)
        request.payload ? request.payload.body.bytesize : 0
      end
    end
  end
end
