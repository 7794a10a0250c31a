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
    # Serves all services of a peer until a signal, a takeover or the removal of the socket.
    class Serving
      IMPLEMENTATION = 'grpc-ruby'

      # More than the 1,000 concurrent calls of the case concurrent_large_unary. An idle thread takes a few KiB, and a
      # server with all threads starts in 0.1 s.
      MAX_CONCURRENT_CALLS = 1100

      # Prints each warning as one line on stderr.
      WARNINGS = Logger.new($stderr, formatter: ->(_, _, _, message) { "#{message}\n" })

      # @param options [Hash] of Server
      def initialize(address, grace:, **options)
        @address = address
        @limit = grace + Server::BEYOND_GRACE_SECONDS
        Compression.extend_services(GreeterService, HealthService, Service, OrcaService)
        @server = Server.new(address, grace:, max_concurrent_calls: MAX_CONCURRENT_CALLS, allow_takeover: true,
                                      owner: "#{IMPLEMENTATION} #{GRPC::VERSION}", logger: WARNINGS,
                                      args: Compression::AS_SENT, **options)
        reports = LoadReports.new
        [GreeterService.new, Service.new(reports), OrcaService.new(reports)].each { |each| @server.handle(each) }
      end

      # Prints the ready line when calls succeed. Returns when the server has stopped.
      def run
        stop_at_signals
        @server.start
        print_ready
        @server.wait
      rescue RemovedError => e
        @removal = e
        raise
      ensure
        @server.stop
      end

      private

      # The first SIGTERM or SIGINT stops the server. A second signal, or a stop that takes too long, ends the process.
      def stop_at_signals
        reader, writer = IO.pipe
        # A signal handler cannot lock a Mutex, so it only writes to a pipe.
        %w[TERM INT].each { |name| trap(name) { writer.write_nonblock('!') } }
        Thread.new do
          reader.read(1)
          @server.request_stop
          reader.wait_readable(@limit)
          end_process
        end
      end

      def print_ready
        puts JSON.generate(event: 'ready', address: @address.to_s, pid: Process.pid,
                           implementation: IMPLEMENTATION, version: GRPC::VERSION)
        $stdout.flush
      end

      # Ends the process without a stale file, even while #run still stops the server.
      def end_process
        @server.withdraw
        warn(@removal.message) if @removal
        exit!(@removal ? 1 : 0)
      end
    end
  end
end
