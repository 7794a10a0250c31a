# frozen_string_literal: true

require 'json'
require 'samehost'
require 'samehost/interop/cases'
require 'samehost/interop/options'
require 'samehost/interop/status'

module Samehost
  module Interop
    # Runs cases one after the other, each on a new channel, and prints their results.
    class Runner
      # Official cases that this client does not know, because they need a Google Cloud account.
      NEED_GOOGLE_CREDENTIALS = %w[
        compute_engine_channel_credentials compute_engine_creds google_default_credentials
        jwt_token_creds oauth2_auth_token per_rpc_creds
      ].freeze

      NAMES = [*Cases::NAMES, *NEED_GOOGLE_CREDENTIALS].freeze

      # How long to wait for the server before the first case.
      WAIT_SECONDS = 5

      def initialize(address)
        @address = address
      end

      # Returns whether all passed.
      def run(names)
        check(names)
        Samehost.channel(@address, wait: WAIT_SECONDS).close
        names.map { |name| report(name) }.all?
      end

      private

      def check(names)
        unknown = names.find { |name| !NAMES.include?(name) } or return
        raise UsageError, "invalid --case #{unknown.inspect}: use #{NAMES.join(', ')}"
      end

      def report(name)
        started = Checks.now
        result, detail = Cases::NAMES.include?(name) ? run_case(name) : unknown
        puts JSON.generate(case: name, result:, detail:, ms: ((Checks.now - started) * 1000).round(1))
        $stdout.flush
        result == 'pass'
      end

      def unknown
        ['unimplemented', 'this client does not know the case: it needs Google credentials']
      end

      def run_case(name)
        Cases.open(@address, &name.to_sym)
        ['pass', '']
      rescue CaseFailure => e
        ['fail', e.message.scrub.split.join(' ')]
      rescue GRPC::BadStatus => e
        ['fail', Status.unexpected(e)]
      rescue GRPC::Core::CallError => e
        ['fail', "call: expected a status, got #{e.message}"]
      end
    end
  end
end
