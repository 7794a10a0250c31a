# frozen_string_literal: true

module Samehost
  # The channel arguments that both ends of a connection need.
  module Transport
    # gRPC's own default for what an end takes in, here for both directions.
    MAX_MESSAGE_BYTES = 4 * 1024 * 1024

    ARGS = {
      'grpc.max_receive_message_length' => MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length' => MAX_MESSAGE_BYTES,
      # No bandwidth probes: C-core's ping, or the answer to one, can break a connection that is just being closed, and
      # with it a call whose answer is there and was not read yet (PROTOCOL.md, "Stopping").
      'grpc.http2.bdp_probe' => 0
    }.freeze
  end
end
