# frozen_string_literal: true

module Samehost
  # Channel arguments for clients and servers.
  module Transport
    # The limit of messages in both directions. It is gRPC's default limit for received messages.
    MAX_MESSAGE_BYTES = 4 * 1024 * 1024

    ARGS = {
      'grpc.max_receive_message_length' => MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length' => MAX_MESSAGE_BYTES,
      # Turn off bandwidth probes. C-core's ping, or the answer to a ping, can break a connection that is being closed,
      # and lose an answer that was not read yet (PROTOCOL.md, "Stopping").
      'grpc.http2.bdp_probe' => 0
    }.freeze
  end
end
