# frozen_string_literal: true

require 'grpc'
require 'samehost/interop/load_reports'
require 'samehost/interop/requests'
require 'samehost/interop/status'

module Samehost
  module Interop
    # A difference between a response and the description of its case. The message has the expected and actual values.
    class CaseFailure < StandardError
    end

    # The checks of the official cases. Each raises CaseFailure.
    module Checks
      # How long an out-of-band report may take. The slowest interop servers send one each second.
      REPORT_SECONDS = 10

      module_function

      def equal(what, got, expected)
        raise CaseFailure, "#{what}: expected #{expected.inspect}, got #{got.inspect}" unless got == expected
      end

      # Requires a response of zero bytes.
      def empty(response)
        equal('size of the response in bytes', response.to_proto.bytesize, 0)
      end

      # Requires a payload with the right type, size and contents.
      def payload(what, got, size)
        equal("payload type of #{what}", got&.type, :COMPRESSABLE)
        equal("payload size of #{what}", got.body.bytesize, size)
        return if got.body == "\0".b * size

        raise CaseFailure, "payload of #{what}: expected #{size} zeros, got other bytes"
      end

      # Requires the response of large_unary.
      def large(response)
        payload('the response', response.payload, Requests::LARGE_RESPONSE_BYTES)
      end

      # Requires two responses with the same payload.
      def cached(first, second)
        equal('payload of the second response', second.payload, first.payload)
      end

      # Requires the sum of the sizes that were sent.
      def aggregated(response, sizes)
        equal('aggregated_payload_size', response.aggregated_payload_size, sizes.sum)
      end

      # Requires exactly the responses with these sizes, in order.
      def outputs(responses, sizes)
        equal('payload sizes of the responses', responses.map { |each| each.payload&.body&.bytesize }, sizes)
        responses.zip(sizes).each.with_index(1) do |(response, size), number|
          payload("response #{number}", response.payload, size)
        end
      end

      # Requires a next response of this size.
      def output(response, size)
        unless response
          raise CaseFailure, "next response of the stream: expected #{size} bytes, got the end of the stream"
        end

        payload('the response', response.payload, size)
      end

      # Requires the end of a stream.
      def end_of_stream(response)
        return unless response

        size = response.payload&.body.to_s.bytesize
        raise CaseFailure, "end of the stream: expected no response, got #{size} bytes"
      end

      # Requires the response of large_unary with the requested compression.
      def large_with_compression(received, compressed)
        equal('compressed flag of the response', received.compressed, compressed)
        large(received.message)
      end

      # Requires the responses of server_compressed_streaming.
      def outputs_with_compression(received)
        outputs(received.map(&:message), Requests::COMPRESSED_RESPONSE_BYTES.values)
        equal('compressed flags of the responses', received.map(&:compressed), Requests::COMPRESSED_RESPONSE_BYTES.keys)
      end

      # Requires that the server echoed each key once, in the right place. The value of a repeated key is an array.
      def echoes(initial, trailing)
        { 'initial metadata' => [initial, Requests::ECHO_INITIAL],
          'trailing metadata' => [trailing, Requests::ECHO_TRAILING] }.each do |what, (metadata, echo)|
          echo.each { |key, value| equal("#{key} in #{what}", metadata.to_h[key], value) }
        end
      end

      # Requires one server_id for all calls, which must not be empty.
      def same_server(ids)
        return if ids.uniq.size == 1 && !ids.first.empty?

        raise CaseFailure, "server_id of #{ids.size} responses: expected a single one that is not empty, " \
                           "got #{ids.uniq.sort}"
      end

      # Requires that the block ends with this status, and with this message if one is given.
      def status(code, message = nil)
        yield
      rescue GRPC::BadStatus => e
        equal('status code', Status.code_name(e), code)
        equal('status message', e.details.dup.force_encoding(Encoding::UTF_8), message) if message
      else
        raise CaseFailure, "status code: expected #{code}, got OK"
      end

      # Requires that the block ends with the requested status.
      def echoed_status(status, &block)
        status(:UNKNOWN, status.message, &block)
      end

      # Requires the requested load report in the trailers.
      def reported_with_call(trailing)
        serialized = trailing.to_h[LoadReports::TRAILER]
        equal("number of #{LoadReports::TRAILER} in the trailing metadata", Array(serialized).size, 1)
        equal('load report', Xds::Data::Orca::V3::OrcaLoadReport.decode(serialized),
              LoadReports.report(Requests::PER_CALL_REPORT))
      end

      # Waits for the report. Older reports may arrive before.
      def awaited_report(reports, test_report)
        expected = LoadReports.report(test_report)
        last = now + REPORT_SECONDS
        until (report = reports.next) == expected
          equal("load report after #{REPORT_SECONDS} s", report, expected) if now > last
        end
      rescue StopIteration
        raise CaseFailure, "load report: expected #{expected.inspect}, got the end of the stream"
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
