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

# gRPC between programs on one machine over a Unix domain socket. The public API is Samehost::Server, Samehost.channel,
# Samehost.diagnose and the errors in errors.rb. The rest may change.
module Samehost
  # Opens a channel to the server on a path. Pass it to a stub as `channel_override`. It connects on the first call, and
  # reconnects as soon as a server listens again.
  #
  # @param address [String] an absolute path, or unix:/absolute/path
  # @param wait [Numeric, nil] connect now and wait this many seconds for the server; nil connects on the first call
  # @param wait_for_ready [Boolean] whether calls wait for a server until their deadline; otherwise they fail with
  #   UNAVAILABLE
  # @param args [Hash] channel arguments of gRPC, which override those of Dial
  # @yield [channel] closes the channel after the block
  # @return [GRPC::Core::Channel, Object] the channel, which the caller must close, or the value of the block
  # @raise [AddressError] the address is invalid
  # @raise [Error] with `wait`, the server cannot be reached: the error that .diagnose returns. It is raised at once if
  #   waiting cannot help
  def self.channel(address, wait: nil, wait_for_ready: false, args: {})
    path = SocketAddress.new(address).path
    channel = Dial.open(path, wait_for_ready ? { **Dial::WAIT_FOR_READY, **args } : args)
    Dial.wait(channel, path, wait) if wait
    result = block_given? ? yield(channel) : channel
  ensure
    channel.close unless channel.equal?(result)
  end

  # Returns why calls to a path fail with UNAVAILABLE. Connects and waits up to 1 s for an answer.
  #
  # @param address [String] an absolute path, or unix:/absolute/path
  # @return [NoServerError, NotASocketError, PermissionError, NotGRPCError, Error, nil] nil if a gRPC server answers
  # @raise [AddressError] the address is invalid
  def self.diagnose(address)
    Diagnosis.of(SocketAddress.new(address).path)
  end
end
