# frozen_string_literal: true

require 'grpc'
require 'json'

module Samehost
  # How a client connects.
  module Dial
    ARGS = {
      **Transport::ARGS,
      # How much may arrive before its reader has to say that there is room: C-core speaks up when half of it is used,
      # and that write breaks a connection that is just being closed, too. Twice the longest message, so that a client
      # which waits for an answer has nothing to say.
      'grpc.http2.lookahead_bytes' => 2 * Transport::MAX_MESSAGE_BYTES,
      # From 1.57 on C-core sends the path, percent-encoded, as :authority (https://github.com/grpc/grpc/pull/33571),
      # which Kestrel and Rust's h2 refuse (https://github.com/grpc/grpc/issues/34305,
      # https://github.com/hyperium/h2/issues/442).
      'grpc.default_authority' => 'localhost',
      # Dialling a socket costs microseconds, so it is done often; grpc's own backoff is 1 s to 120 s.
      'grpc.initial_reconnect_backoff_ms' => 100,
      'grpc.max_reconnect_backoff_ms' => 500,
      # How long the other end may take to answer a new connection; 20 s is the default. C-core waits that long, too, if
      # the connection breaks at the wrong moment, as 7 of 9,248 did.
      'grpc.min_reconnect_backoff_ms' => 5000,
      # How much of a call is kept to send it again when the server says that it never began it (gRFC A6). With grpc's
      # 256 KiB, large calls are lost while servers are replaced.
      'grpc.per_rpc_retry_buffer_size' => 8 * 1024 * 1024
    }.freeze

    # Ruby's API has no `wait_for_ready`; a service config says it of every call instead
    # (https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto).
    WAIT_FOR_READY = {
      'grpc.service_config' => JSON.generate(methodConfig: [{ name: [{}], waitForReady: true }])
    }.freeze

    READY = GRPC::Core::ConnectivityStates::READY

    module_function

    def open(path, args)
      GRPC::ClientStub.setup_channel(nil, "unix:#{path}", :this_channel_is_insecure, ARGS.merge(args))
    end

    # Waits until the channel is connected, but not for what waiting can't cure: no socket at the path, no permission.
    def wait(channel, path, seconds)
      refuse_what_waiting_cannot_cure(path)
      deadline = Time.now + seconds
      while (state = channel.connectivity_state(true)) != READY
        next if channel.watch_connectivity_state(state, deadline)

        raise Diagnosis.of(path) || Error.new("a server answers at #{path} and was not ready within " \
                                              "#{seconds} s; wait longer, or see its log")
      end
    end

    def refuse_what_waiting_cannot_cure(path)
      Diagnosis.probe(path)
    rescue NoServerError
      nil
    end
    private_class_method :refuse_what_waiting_cannot_cure
  end
end
