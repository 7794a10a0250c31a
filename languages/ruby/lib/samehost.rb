# frozen_string_literal: true

require 'samehost/version'
require 'samehost/errors'
require 'samehost/socket_address'
require 'samehost/path_state'
require 'samehost/transport'

require 'samehost/diagnosis'
require 'samehost/dial'

require 'samehost/folder'
require 'samehost/private_folder'
require 'samehost/permissions'
require 'samehost/public_names'
require 'samehost/socket_lock'
require 'samehost/vacancy'
require 'samehost/takeover'
require 'samehost/listener'

require 'samehost/call_limit'
require 'samehost/connections'
require 'samehost/health_service'
require 'samehost/removal'
require 'samehost/server'

# gRPC between programs on one machine, over a Unix domain socket: Samehost::Server serves at a path, Samehost.channel
# connects to it, Samehost.diagnose finds out why it can't be reached, and errors.rb has the errors. The rest may
# change.
module Samehost
  # Opens a channel to the server at a path, for the `channel_override` of a stub. It connects at the first call, and
  # reconnects as soon as a server listens again.
  #
  # @param address [String] an absolute path, or unix:/absolute/path
  # @param wait [Numeric, nil] seconds to wait for the server now; nil does not connect
  # @param wait_for_ready [Boolean] whether calls wait for a server until their deadline, or fail with UNAVAILABLE
  # @param args [Hash] channel arguments of gRPC, which win over those of Dial
  # @yield [channel] closes the channel after the block
  # @return [GRPC::Core::Channel, Object] the channel, which the caller closes, or the value of the block
  # @raise [AddressError]
  # @raise [Error] with `wait`: what .diagnose returns, at once where waiting can't help
  def self.channel(address, wait: nil, wait_for_ready: false, args: {})
    path = SocketAddress.new(address).path
    channel = Dial.open(path, wait_for_ready ? { **Dial::WAIT_FOR_READY, **args } : args)
    Dial.wait(channel, path, wait) if wait
    result = block_given? ? yield(channel) : channel
  ensure
    channel.close unless channel.equal?(result)
  end

  # Finds out why calls to a path are UNAVAILABLE, by looking and connecting. Waits up to 1 s for the server.
  #
  # @param address [String] an absolute path, or unix:/absolute/path
  # @return [NoServerError, NotASocketError, PermissionError, NotGRPCError, Error, nil] nil where a gRPC server answers
  # @raise [AddressError]
  def self.diagnose(address)
    Diagnosis.of(SocketAddress.new(address).path)
  end
end
