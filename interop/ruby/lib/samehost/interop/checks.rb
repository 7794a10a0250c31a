# frozen_string_literal: true

require 'grpc'
require 'samehost/interop/load_reports'
require 'samehost/interop/requests'
require 'samehost/interop/status'

module Samehost
  module Interop
    # A case that did not go as the description says: expected and got, in one line.
    class CaseFailure < StandardError
    end

    # What the official cases assert.
    module Checks
      # How long a report out of band may take to arrive; the slowest interop servers send one each second.
      REPORT_SECONDS = 10

      module_function

      def equal(what, got, expected)
        raise CaseFailure, "#{what}: expected #{expected.inspect}, got #{got.inspect}" unless got == expected
      end

      # The response has zero bytes.
      def empty(response)
        equal('size of the response in bytes', response.to_proto.bytesize, 0)
      end

      # The payload has the right type, size and contents.
      def payload(what, got, size)
        equal("payload type of #{what}", got&.type, :COMPRESSABLE)
        equal("payload size of #{what}", got.body.bytesize, size)
        return if got.body == "\0".b * size

        raise CaseFailure, "payload of #{what}: expected #{size} zeros, got other bytes among them"
      end

      # The response is that of large_unary.
      def large(response)
        payload('the response', response.payload, Requests::LARGE_RESPONSE_BYTES)
      end

      # Both responses have the same payload.
      def cached(first, second)
        equal('payload of the second response', second.payload, first.payload)
      end

      # The response is the sum of what was sent.
      def aggregated(response, sizes)
        equal('aggregated_payload_size', response.aggregated_payload_size, sizes.sum)
      end

      # The stream had exactly the responses of these sizes, in order.
      def outputs(responses, sizes)
        equal('payload sizes of the responses', responses.map { |each| each.payload&.body&.bytesize }, sizes)
        responses.zip(sizes).each.with_index(1) do |(response, size), number|
          payload("response #{number}", response.payload, size)
        end
      end

      # The next response of a stream is there and of this size.
      def output(response, size)
        unless response
          raise CaseFailure, "next response of the stream: expected one of #{size} bytes, got the end of the stream"
        end

        payload('the response', response.payload, size)
      end

      # The stream has no further response.
      def end_of_stream(response)
        return unless response

        size = response.payload&.body.to_s.bytesize
        raise CaseFailure, "end of the stream: expected no response, got one of #{size} bytes"
      end

      # The response is that of large_unary, and came compressed or not, as it was asked for.
      def large_with_compression(received, compressed)
        equal('compressed flag of the response', received.compressed, compressed)
        large(received.message)
      end

      # The stream had the responses of server_compressed_streaming.
      def outputs_with_compression(received)
        outputs(received.map(&:message), Requests::COMPRESSED_RESPONSE_BYTES.values)
        equal('compressed flags of the responses', received.map(&:compressed), Requests::COMPRESSED_RESPONSE_BYTES.keys)
      end

      # Both pieces of metadata came back, each once (a key that comes twice has an array) and where it belongs.
      def echoes(initial, trailing)
        { 'initial metadata' => [initial, Requests::ECHO_INITIAL],
          'trailing metadata' => [trailing, Requests::ECHO_TRAILING] }.each do |what, (metadata, echo)|
          echo.each { |key, value| equal("#{key} in #{what}", metadata.to_h[key], value) }
        end
      end

      # All calls reached one server, and it has a name.
      def same_server(ids)
        return if ids.uniq.size == 1 && !ids.first.empty?

        raise CaseFailure, "server_id of #{ids.size} responses: expected one that is not empty, got #{ids.uniq.sort}"
      end

      # The block ends with this status, and this message where one is given.
      def status(code, message = nil)
        yield
      rescue GRPC::BadStatus => e
        equal('status code', Status.code_name(e), code)
        equal('status message', e.details.dup.force_encoding(Encoding::UTF_8), message) if message
      else
        raise CaseFailure, "status code: expected #{code}, got OK"
      end

      # The block ends with the status that it asked for.
      def echoed_status(status, &block)
        status(:UNKNOWN, status.message, &block)
      end

      # The trailers have the load report that the call asked for.
      def reported_with_call(trailing)
        serialized = trailing.to_h[LoadReports::TRAILER]
        equal("number of #{LoadReports::TRAILER} in the trailing metadata", Array(serialized).size, 1)
        equal('load report', Xds::Data::Orca::V3::OrcaLoadReport.decode(serialized),
              LoadReports.report(Requests::PER_CALL_REPORT))
      end

      # The report comes, after any number of older ones, and in time.
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
