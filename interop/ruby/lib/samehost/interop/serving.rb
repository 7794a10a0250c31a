# frozen_string_literal: true

require 'json'
require 'logger'
require 'samehost'
require 'samehost/interop/compression'
require 'samehost/interop/greeter_service'
require 'samehost/interop/orca_service'
require 'samehost/interop/service'

module Samehost
  module Interop
    # Serves what every peer serves, until a signal, a takeover or the removal of the socket.
    class Serving
      IMPLEMENTATION = 'grpc-ruby'

      # More than the 1000 that the case concurrent_large_unary makes at once. A thread that waits for a call costs some
      # KiB: a server with all of them starts in 0.1 s.
      MAX_CONCURRENT_CALLS = 1100

      # On stderr, one line each.
      WARNINGS = Logger.new($stderr, formatter: ->(_, _, _, message) { "#{message}\n" })

      # @param options [Hash] of Server
      def initialize(address, grace:, **options)
        @address = address
        @limit = grace + Server::BEYOND_GRACE_SECONDS
        Compression.see(GreeterService, HealthService, Service, OrcaService)
        @server = Server.new(address, grace:, max_concurrent_calls: MAX_CONCURRENT_CALLS, allow_takeover: true,
                                      owner: "#{IMPLEMENTATION} #{GRPC::VERSION}", logger: WARNINGS,
                                      args: Compression::AS_SENT, **options)
        reports = LoadReports.new
        [GreeterService.new, Service.new(reports), OrcaService.new(reports)].each { |each| @server.handle(each) }
      end

      # Prints the ready line when calls succeed; returns when the server has stopped.
      def run
        stop_at_signals
        @server.start
        announce
        @server.wait
      rescue RemovedError => e
        @removal = e
        raise
      ensure
        @server.stop
      end

      private

      # At the first SIGTERM or SIGINT the server stops; at the second, or if the stop takes too long, the process ends.
      def stop_at_signals
        heard, hearing = IO.pipe
        # A signal handler may take no Mutex, so it only writes to a pipe.
        %w[TERM INT].each { |name| trap(name) { hearing.write_nonblock('!') } }
        Thread.new do
          heard.read(1)
          @server.request_stop
          heard.wait_readable(@limit)
          leave
        end
      end

      def announce
        puts JSON.generate(event: 'ready', address: @address.to_s, pid: Process.pid,
                           implementation: IMPLEMENTATION, version: GRPC::VERSION)
        $stdout.flush
      end

      # Leaves no stale file, whatever #run does meanwhile.
      def leave
        @server.withdraw
        warn(@removal.message) if @removal
        exit!(@removal ? 1 : 0)
      end
    end
  end
end
