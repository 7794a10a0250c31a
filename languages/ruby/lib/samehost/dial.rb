# frozen_string_literal: true

require 'grpc'
require 'json'

module Samehost
  # Channels of clients.
  module Dial
    ARGS = {
      **Transport::ARGS,
      # The flow-control window. C-core sends a WINDOW_UPDATE when half of it is used, and that write can break a
      # connection that the server is closing. The window is twice the longest message, so a client that waits for an
      # answer sends no WINDOW_UPDATE.
      'grpc.http2.lookahead_bytes' => 2 * Transport::MAX_MESSAGE_BYTES,
      # Since 1.57 C-core sends the percent-encoded path as :authority (https://github.com/grpc/grpc/pull/33571).
      # Kestrel and Rust's h2 refuse it (https://github.com/grpc/grpc/issues/34305,
      # https://github.com/hyperium/h2/issues/442).
      'grpc.default_authority' => 'localhost',
      # Dialing a socket takes microseconds, so retry often. The default backoff of grpc is 1 s to 120 s.
      'grpc.initial_reconnect_backoff_ms' => 100,
      'grpc.max_reconnect_backoff_ms' => 500,
      # How long the server may take to answer a new connection; the default is 20 s.
      'grpc.min_reconnect_backoff_ms' => 5000,
      # How much of a call is kept to retry it if the server did not start it (gRFC A6). With grpc's default of 256 KiB,
      # large calls are lost while servers are replaced.
      'grpc.per_rpc_retry_buffer_size' => 8 * 1024 * 1024
    }.freeze

    # Ruby's API has no `wait_for_ready`, so a service config sets it for every call
    # (https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto).
    WAIT_FOR_READY = {
      'grpc.service_config' => JSON.generate(methodConfig: [{ name: [{}], waitForReady: true }])
    }.freeze

    READY = GRPC::Core::ConnectivityStates::READY

    # How often `wait` asks for the state. C-core may connect and lose the connection while it returns the state. Then
    # the channel is idle, as it was, and no change is reported.
    POLL_SECONDS = 0.1

    module_function

    def open(path, args)
      GRPC::ClientStub.setup_channel(nil, "unix:#{path}", :this_channel_is_insecure, ARGS.merge(args))
    end

    # Waits until the channel is connected. Raises at once if waiting cannot help, as without permission.
    def wait(channel, path, seconds)
      check_that_waiting_helps(path)
      deadline = Time.now + seconds
      while (state = channel.connectivity_state(true)) != READY
        raise not_ready(path, seconds) if Time.now >= deadline

        channel.watch_connectivity_state(state, [deadline, Time.now + POLL_SECONDS].min)
      end
    end

    def not_ready(path, seconds)
      Diagnosis.of(path) || Error.new("cannot connect to #{path}: the server answers, but the channel was not ready " \
                                      "within #{seconds} s; wait longer, or check the server's log")
    end
    private_class_method :not_ready

    def check_that_waiting_helps(path)
      Diagnosis.probe(path)
    rescue NoServerError
      nil
    end
    private_class_method :check_that_waiting_helps
  end
end
