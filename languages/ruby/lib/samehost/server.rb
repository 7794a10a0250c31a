# frozen_string_literal: true

require 'grpc'
require 'json'
require 'samehost/call_limit'
require 'samehost/connections'
require 'samehost/health_service'
require 'samehost/listener'
require 'samehost/removal'
require 'samehost/stop_signals'
require 'samehost/transport'

module Samehost
  # Serves gRPC on a Unix domain socket, one thread for each call in progress, until SIGTERM or SIGINT.
  class Server
    IMPLEMENTATION = 'grpc-ruby'

    # More than the 1000 that the interop case concurrent_large_unary makes at once. A thread that waits for a call
    # costs some KiB: a server with all of them starts in 0.1 s.
    MAX_CONCURRENT_CALLS = 1100

    # After how long a client is moved to a new connection, which it does without losing a call.
    AGE_OPTION = 'grpc.max_connection_age_ms'
    MAX_CONNECTION_AGE_MS = 1000

    # How many ages to serve on, at most, once the path is gone: until every client has been moved by its ordinary age
    # limit, which C-core spreads by 10 %. Shutting down at once refuses calls that are on their way (PROTOCOL.md,
    # "Stopping"). A longer age than the default one is not awaited.
    DRAIN_AGES = 1.3
    MAX_DRAIN_SECONDS = DRAIN_AGES * MAX_CONNECTION_AGE_MS / 1000

    # By then all calls have ended, or were cut; threads that still run ignore it and get little more.
    KEEP_ALIVE_SECONDS = 0.4

    # What a stop may take beyond the grace: a little more than the two above, and less than 2 s. Handlers can keep Ruby
    # from ending, and clients grpc.
    BEYOND_GRACE_SECONDS = 1.9

    # The window stays that of HTTP/2: with a larger one requests queue up in front of the headers of other calls, which
    # are refused while their connection is renewed (PROTOCOL.md, "Stopping").
    ARGS = {
      **Transport::ARGS,
      # C-core 1.85 holds the refusal of a message that is too long back for up to a second. By then the connection may
      # have been closed for its age, and the call is UNAVAILABLE. 1.51 has no such delay.
      'grpc.http.tarpit' => 0,
      AGE_OPTION => MAX_CONNECTION_AGE_MS
    }.freeze

    private_constant :AGE_OPTION

    # @param services [Array<GRPC::GenericService>] what is served beside health
    # @param grace [Float] seconds that calls in progress have to finish when the server stops
    # @param trust_folder [Boolean] serve in a folder that every user may write to, too
    # @param takeover [Boolean] take the path over from a server that serves there
    # @param on_removed [:serve, :stop] what to do when someone removes the socket: serve what is in progress, or fail
    # @param args [Hash] channel arguments of grpc, which win over ARGS
    def initialize(address, services, mode: 0o660, gid: nil, grace: 5.0, trust_folder: false, takeover: false,
                   on_removed: :serve, args: {})
      @address = address
      @grace = grace
      @takeover = takeover
      @on_removed = on_removed
      @args = ARGS.merge(args)
      @listener = Listener.new(address, mode:, gid:, trust_folder:, owner: "#{IMPLEMENTATION} #{GRPC::VERSION}")
      @asked = Queue.new
      @health = HealthService.new(services.map { |service| service.class.service_name })
      @server = GRPC::RpcServer.new(
        pool_size: MAX_CONCURRENT_CALLS + CallLimit::SPARE_THREADS, pool_keep_alive: KEEP_ALIVE_SECONDS,
        poll_period: grace, interceptors: [CallLimit.new(MAX_CONCURRENT_CALLS)], server_args: @args
      )
      [*services, @health].each { |service| @server.handle(service) }
    end

    # Serves, and prints the ready line; returns when the server has stopped after a signal or a takeover.
    def run
      StopSignals.handle(method(:ask), method(:leave)) # a takeover and a removal count as none
      start
      announce
      @asked.pop
      drain
      raise @removal if @removal
    ensure
      stop
    end

    private

    def start
      @bound = @listener.claim(takeover: @takeover)
      bind
      @loop = Thread.new { @server.run }
      @loop.abort_on_exception = true
      @server.wait_till_running
      @listener.publish { ask }
      @watch = Removal.watch(@listener) { removed }
    end

    def bind
      @server.add_http2_port(@bound.to_s, :this_port_is_insecure)
    rescue RuntimeError # grpc says no more than that it failed
      raise Error, "the system refused a socket beside #{@address.path}; " \
                   'check that its folder is on a file system with sockets and has space'
    end

    def announce
      puts JSON.generate(event: 'ready', address: @address.to_s, pid: Process.pid,
                         implementation: IMPLEMENTATION, version: GRPC::VERSION)
      $stdout.flush
    end

    def drain
      @watch.kill
      @health.shut_down
      @listener.withdraw
      Connections.await_none(@bound.path, [DRAIN_AGES * @args[AGE_OPTION] / 1000, MAX_DRAIN_SECONDS].min)
    end

    # Waits for the grace (poll_period), then cuts what is left. C-core aborts a process that exits without it.
    def stop
      @listener.withdraw
      return unless @loop

      @server.stop
      @loop.join
    end

    def removed
      error = Error.new("someone has removed #{@address.path}, or put another in its place: no new client finds this " \
                        'server; start it again, and leave the file alone')
      return warn(error.message) if @on_removed == :serve

      @removal = error
      ask
    end

    # Makes #run drain, and sees that it ends in time.
    def ask
      @asked << true
      Thread.new do
        sleep(@grace + BEYOND_GRACE_SECONDS)
        leave
      end
    end

    # Leaves no stale file, whatever #run does meanwhile.
    def leave
      @listener.withdraw
      warn(@removal.message) if @removal
      exit!(@removal ? 1 : 0)
    end
  end
end
