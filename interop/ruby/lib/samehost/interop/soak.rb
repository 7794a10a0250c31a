# frozen_string_literal: true

require 'samehost/interop/checks'
require 'samehost/interop/status'

module Samehost
  module Interop
    # Times the iterations of a soak test, and counts those that fail.
    class Soak
      # The defaults of the official clients; and no failure is allowed.
      ITERATIONS = 10
      ITERATION_SECONDS = 1.0

      # Runs the block for each iteration; fails unless all were made in time, and none of them failed.
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

      # What was wrong with an iteration, if anything.
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
