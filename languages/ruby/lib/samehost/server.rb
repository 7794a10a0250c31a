# frozen_string_literal: true

require 'grpc'

module Samehost
  # Serves gRPC on a Unix domain socket. Call #handle for each service, then #run. It also serves grpc.health.v1.Health.
  # Each call in progress holds a thread.
  class Server
    # The age at which a client moves to a new connection. It loses no call.
    AGE_OPTION = 'grpc.max_connection_age_ms'
    MAX_CONNECTION_AGE_MS = 1000

    # How many ages to continue to serve, at most, after the path is removed. By then the age limit, which C-core varies
    # by 10 %, has moved every client. Shutting down at once would refuse calls that were already sent (PROTOCOL.md,
    # "Stopping"). A stop does not wait for an age above the default.
    DRAIN_AGES = 1.3
    MAX_DRAIN_SECONDS = DRAIN_AGES * MAX_CONNECTION_AGE_MS / 1000

    # How long grpc waits for its threads after all calls have ended or were cancelled. Threads that still run then
    # resist the cancellation.
    KEEP_ALIVE_SECONDS = 0.4

    # How long a stop may take after the grace: a little more than MAX_DRAIN_SECONDS and KEEP_ALIVE_SECONDS, and less
    # than 2 s. Without this limit, handlers could block the end of Ruby, and clients the end of grpc.
    BEYOND_GRACE_SECONDS = 1.9

    # The greatest grace, because grpc's clock is limited.
    MAX_GRACE_SECONDS = 86_400

    # The time between two checks whether a starting server has failed.
    START_PAUSE_SECONDS = 0.1

    # The flow-control window keeps the default of HTTP/2. With a larger window, requests queue before the headers of
    # other calls, which are refused when their connection is renewed (PROTOCOL.md, "Stopping").
    ARGS = {
      **Transport::ARGS,
      # C-core 1.85 delays the status for a message that is too long by up to a second. The age limit can close the
      # connection before, and the call fails with UNAVAILABLE. 1.51 has no such delay.
      'grpc.http.tarpit' => 0,
      AGE_OPTION => MAX_CONNECTION_AGE_MS
    }.freeze

    private_constant :AGE_OPTION, :START_PAUSE_SECONDS

    # Checks the options. Does not touch the path.
    #
    # @param address [String] an absolute path, or unix:/absolute/path
    # @param grace [Numeric] seconds that calls in progress have to finish when the server stops, up to a day
    # @param max_concurrent_calls [Integer] limit of concurrent calls; each holds a thread, and calls above the limit
    #   fail with RESOURCE_EXHAUSTED
    # @param on_removed [:serve, :stop] when someone removes the socket, log a warning and continue to serve, or stop
    #   with RemovedError
    # @param interceptors [Array<GRPC::ServerInterceptor>]
    # @param args [Hash] channel arguments of gRPC, which override ARGS
    # @param listening [Hash] the other options:
    # @option listening [Integer] :mode (0o660) permissions of the socket; clients need write permission to connect
    # @option listening [String, Integer, nil] :group (nil) group of the socket; nil keeps the group of a new file in
    #   the folder
    # @option listening [String] :owner names this server in the error of a second server on the path; the default is
    #   the name of the program
    # @option listening [Boolean] :trust_folder (false) allow a folder that every user may write to, and log a warning
    # @option listening [Boolean] :allow_takeover (false) let a successor replace this server without losing a call
    # @option listening [Boolean] :takeover (false) replace a running server, which drains; implies :allow_takeover
    # @option listening [Logger] :logger receives warnings; the default is stderr
    # @raise [AddressError] the address is invalid
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

    # Adds a service, like GRPC::RpcServer#handle. Call it before #start.
    #
    # @param service [GRPC::GenericService, Class]
    def handle(service)
      @server.handle(service)
      @health.add((service.is_a?(Class) ? service : service.class).service_name)
    end

    # Starts and serves until #request_stop, a takeover or, with `on_removed: :stop`, the removal of the socket. Then
    # stops.
    #
    # @yield when calls succeed
    # @raise [Error] the errors of #start and #wait
    def run
      start
      begin
        yield if block_given?
        wait
      ensure
        stop
      end
    end

    # Starts and returns when calls succeed. Can be called once.
    #
    # @raise [InUseError] a server uses the path, or the takeover failed
    # @raise [UnsafeFolderError] every user can replace the socket
    # @raise [LockFileError] the lock file holds other data, is not a regular file, or can be locked by another user
    # @raise [NotASocketError] another kind of file is at the path
    # @raise [Error] the system returned an error
    def start
      raise Error, "cannot start the server on #{@listener.path} again; create a new server" if @started

      @started = true
      @bound = @listener.claim
      bind
      @loop = Thread.new { serve }
      @loop.report_on_exception = false
      @loop.join(0) until @server.wait_till_running(START_PAUSE_SECONDS) # join raises the error of the thread
      @listener.publish { @events << :taken_over }
      @watch = Removal.watch(@listener) { |error| removed(error) }
    ensure
      stop unless @watch
    end

    # Waits until the server should stop.
    #
    # @return [:asked, :taken_over] `:asked` after #request_stop
    # @raise [RemovedError] someone removed the socket, with `on_removed: :stop`
    def wait
      event = @events.pop
      raise event if event.is_a?(Exception)

      event
    end

    # Makes #wait return and #run stop. Signal handlers may call it.
    def request_stop
      @events << :asked
    end

    # Stops without refusing a call that was already sent. Reports NOT_SERVING, removes the path so that a successor can
    # start, moves clients off their connections, lets calls in progress finish within the grace, and cancels the rest.
    #
    # Returns at most 1.9 s after the grace. A handler that resists the cancellation may still run then. End the process
    # with `exit!` in that case, because `exit` waits for its thread.
    def stop
      @stopping ||= Thread.new { drain }.tap { |thread| thread.report_on_exception = false }
      @stopping.join(@grace + BEYOND_GRACE_SECONDS)
    end

    # Removes the path and releases the lock without stopping. Use it before the process ends, so that no stale file
    # stays.
    def withdraw
      @listener.withdraw
    end

    private

    def check(name, value, allowed)
      return value if allowed.include?(value)

      remedy = allowed.is_a?(Range) ? "#{allowed.min} to #{allowed.max}" : allowed.map(&:inspect).join(' or ')
      raise ArgumentError, "invalid #{name} #{value.inspect}: use #{remedy}"
    end

    def bind
      @server.add_http2_port("unix:#{@bound}", :this_port_is_insecure)
    rescue RuntimeError
      raise Error.cannot_bind(@listener.path, 'gRPC reports no reason')
    end

    def serve
      @server.run
    rescue StandardError, GRPC::Core::CallError => e # CallError is not a StandardError
      @events << e
      raise
    end

    def removed(error)
      @on_removed == :stop ? @events << error : @listener.logger.warn(error.message)
    end

    # Without this, C-core aborts a process that exits while it serves.
    def drain
      @watch&.kill
      @health.shut_down
      @listener.withdraw
      return unless @server.running?

      Connections.await_none(@bound, [DRAIN_AGES * @args[AGE_OPTION] / 1000, MAX_DRAIN_SECONDS].min)
      @server.stop # waits for the grace (poll_period), then cancels the remaining calls
      @loop.join
    end
  end
end
