# frozen_string_literal: true

require 'samehost/interop/checks'
require 'samehost/interop/status'

module Samehost
  module Interop
    # Runs a soak test and counts failed iterations.
    class Soak
      # The defaults of the official clients. No failure is allowed.
      ITERATIONS = 10
      ITERATION_SECONDS = 1.0

      # Runs the block for each iteration. Raises CaseFailure unless all iterations finished in time without an error.
      def self.run(&block)
        new.run(&block)
      end

      def run(&block)
        last = Checks.now + (ITERATIONS * ITERATION_SECONDS)
        faults = []
        ITERATIONS.times do |done|
          Checks.equal('number of iterations in time', done, ITERATIONS) if Checks.now > last
          faults << iteration(&block)
        end
        faults.compact!
        return if faults.empty?

        raise CaseFailure, "failed iterations: expected none, got #{faults.size}, first: #{faults.first}"
      end

      private

      # Runs one iteration. Returns its error, or nil.
      def iteration
        started = Checks.now
        yield
        seconds = Checks.now - started
        "took #{(seconds * 1000).round} ms" if seconds > ITERATION_SECONDS
      rescue CaseFailure => e
        e.message
      rescue GRPC::BadStatus => e
        Status.unexpected(e)
      end
    end
  end
end
