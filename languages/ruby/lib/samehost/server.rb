# frozen_string_literal: true

require 'grpc'

module Samehost
  # Serves gRPC on a Unix domain socket, with a thread for each call in progress: #handle, then #run. It serves
  # grpc.health.v1.Health, too.
  class Server
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

    # The greatest grace: grpc's clock has an end.
    MAX_GRACE_SECONDS = 86_400

    # How often to look whether a server that starts has failed.
    START_PACE_SECONDS = 0.1

    # The window stays that of HTTP/2: with a larger one requests queue up in front of the headers of other calls, which
    # are refused while their connection is renewed (PROTOCOL.md, "Stopping").
    ARGS = {
      **Transport::ARGS,
      # C-core 1.85 holds the refusal of a message that is too long back for up to a second. By then the connection may
      # have been closed for its age, and the call is UNAVAILABLE. 1.51 has no such delay.
      'grpc.http.tarpit' => 0,
      AGE_OPTION => MAX_CONNECTION_AGE_MS
    }.freeze

    private_constant :AGE_OPTION, :START_PACE_SECONDS

    # Checks the options, and touches nothing yet.
    #
    # @param address [String] an absolute path, or unix:/absolute/path
    # @param grace [Numeric] seconds that calls in progress have to finish when the server stops, up to a day
    # @param max_concurrent_calls [Integer] calls beyond it are refused with RESOURCE_EXHAUSTED; each holds a thread
    # @param on_removed [:serve, :stop] when someone removes the socket, warn and serve on, or stop with RemovedError
    # @param interceptors [Array<GRPC::ServerInterceptor>]
    # @param args [Hash] channel arguments of gRPC, which win over ARGS
    # @param listening [Hash] the rest:
    # @option listening [Integer] :mode (0o660) permissions of the socket; connecting takes write permission
    # @option listening [String, Integer, nil] :group (nil) group of the socket; nil is that of a new file in the folder
    # @option listening [String] :owner names this server in the error of a second one; by default the program's name
    # @option listening [Boolean] :trust_folder (false) serve in a folder that every user may write to, and warn
    # @option listening [Boolean] :allow_takeover (false) let a successor replace this server without losing a call
    # @option listening [Boolean] :takeover (false) replace a running server, which drains; implies :allow_takeover
    # @option listening [Logger] :logger receives warnings; by default on stderr
    # @raise [AddressError]
    # @raise [ArgumentError] an option is invalid
    def initialize(address, grace: 5, max_concurrent_calls: 100, on_removed: :serve, interceptors: [], args: {},
                   **listening)
      @grace = check('grace', grace, 0..MAX_GRACE_SECONDS)
      @on_removed = check('on_removed', on_removed, %i[serve stop])
      @listener = Listener.new(address, **listening)
      @args = ARGS.merge(args)
      @events = Queue.new
      @server = GRPC::RpcServer.new(
        pool_size: max_concurrent_calls + CallLimit::SPARE_THREADS, pool_keep_alive: KEEP_ALIVE_SECONDS,
        poll_period: grace, interceptors: [CallLimit.new(max_concurrent_calls), *interceptors], server_args: @args
      )
      @server.handle(@health = HealthService.new)
    end

    # Adds a service, as GRPC::RpcServer#handle does, before the start.
    #
    # @param service [GRPC::GenericService, Class]
    def handle(service)
      @server.handle(service)
      @health.add((service.is_a?(Class) ? service : service.class).service_name)
    end

    # Serves until #request_stop, a takeover or, with `on_removed: :stop`, the removal of the socket; then stops.
    #
    # @yield when calls succeed
    # @raise as #start and #wait do
    def run
      start
      begin
        yield if block_given?
        wait
      ensure
        stop
      end
    end

    # Starts, once, and returns when calls succeed.
    #
    # @raise [InUseError, UnsafeFolderError, LockFileError, NotASocketError, Error]
    def start
      raise Error, "the server of #{@listener.path} was started before; make a new one" if @started

      @started = true
      @bound = @listener.claim
      bind
      @loop = Thread.new { serve }
      @loop.report_on_exception = false
      @loop.join(0) until @server.wait_till_running(START_PACE_SECONDS) # raises what it has raised
      @listener.publish { @events << :taken_over }
      @watch = Removal.watch(@listener) { |error| removed(error) }
    ensure
      stop unless @watch
    end

    # Waits until the server has a reason to stop.
    #
    # @return [:asked, :taken_over]
    # @raise [RemovedError]
    def wait
      event = @events.pop
      raise event if event.is_a?(Exception)

      event
    end

    # Makes #wait and #run return. A signal handler may call it.
    def request_stop
      @events << :asked
    end

    # Stops without refusing a call that was already sent: health is NOT_SERVING, the path is removed, so that a
    # successor may start, the clients are moved, and calls in progress have the grace to finish. Then the rest is cut.
    #
    # It returns 1.9 s after the grace at the latest. A handler that resists being killed may run on even then: end the
    # process with `exit!`, as `exit` waits for its thread.
    def stop
      @stopping ||= Thread.new { drain }.tap { |thread| thread.report_on_exception = false }
      @stopping.join(@grace + BEYOND_GRACE_SECONDS)
    end

    # Removes the path and releases the lock, for a process that is about to end: it leaves no stale file.
    def withdraw
      @listener.withdraw
    end

    private

    def check(name, value, allowed)
      return value if allowed.include?(value)

      raise ArgumentError, "invalid #{name} #{value.inspect}: use #{allowed.inspect}"
    end

    def bind
      @server.add_http2_port("unix:#{@bound}", :this_port_is_insecure)
    rescue RuntimeError # grpc says no more than that it failed
      raise Error, "the system refused a socket beside #{@listener.path}; " \
                   'check that its folder is on a file system with sockets and has space'
    end

    def serve
      @server.run
    rescue StandardError, GRPC::Core::CallError => e # which is none
      @events << e
      raise
    end

    def removed(error)
      @on_removed == :stop ? @events << error : @listener.logger.warn(error.message)
    end

    # C-core aborts a process that exits while it serves.
    def drain
      @watch&.kill
      @health.shut_down
      @listener.withdraw
      return unless @server.running?

      Connections.await_none(@bound, [DRAIN_AGES * @args[AGE_OPTION] / 1000, MAX_DRAIN_SECONDS].min)
      @server.stop # waits for the grace (poll_period), then cuts what is left
      @loop.join
    end
  end
end
