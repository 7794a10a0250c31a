# frozen_string_literal: true

require 'samehost/interop/checks'

module Samehost
  module Interop
    # A FullDuplexCall that sends requests one at a time.
    class Duplex
      # Starts the call, yields it, and ends it.
      def self.open(stub, **options)
        duplex = new(stub, **options)
        yield duplex
      ensure
        duplex&.close
      end

      def initialize(stub, **options)
        @queue = Queue.new
        @operation = stub.full_duplex_call(requests, { return_op: true, **options })
        @responses = @operation.execute
      end

      def send(request)
        @queue << request
      end

      # Ends the requests.
      def half_close
        @queue.close
      end

      # Waits for a response. Returns nil at the end of the stream.
      def receive
        @responses.next
      rescue StopIteration
        nil
      end

      def cancel
        @operation.cancel
      end

      def initial_metadata
        @operation.metadata
      end

      def trailing_metadata
        @operation.trailing_metadata
      end

      def close
        half_close
        cancel
      end

      private

      def requests
        Enumerator.new do |call|
          while (request = @queue.pop)
            call << request
          end
        end
      end
    end
  end
end
