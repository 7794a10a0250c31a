# frozen_string_literal: true

require 'digest'
require 'securerandom'
require 'samehost/errors'
require 'samehost/path_state'
require 'samehost/socket_address'

module Samehost
  # A folder beside a path that nobody else may enter, where sockets are bound before they are found.
  #
  # Its name depends on the path alone, so that the next server finds what one that was killed has left. The socket's
  # name is this server's own. For C-core unlinks the name that it bound when it shuts down: a predecessor that still
  # drains would remove the socket of its successor before it is published. Both names get shorter where the path is
  # long, as they must fit into a socket's address too.
  class PrivateFolder
    # Hexadecimal digits, so that two paths of one folder share a private name once in 4 billion.
    NAME_LENGTH = 8

    private_constant :NAME_LENGTH

    # The paths of the server's socket, and of that for its successor.
    attr_reader :socket, :control

    def initialize(path)
      @path = path
      folder, name = File.split(path)
      folder = '' if folder == '/'
      room = SocketAddress::MAX_PATH_BYTES - "#{folder}/./".bytesize
      if room < 2
        raise Error, "#{path} leaves no room for a private name beside it; choose a folder with a shorter name"
      end

      own = SecureRandom.hex[0, (room - NAME_LENGTH).clamp(1, NAME_LENGTH)]
      @folder = "#{folder}/.#{Digest::SHA256.hexdigest(name)[0, [room - own.size, NAME_LENGTH].min]}"
      @socket = "#{@folder}/#{own}"
      @control = "#{@folder}/t" # which no hexadecimal digit is
    end

    def make
      clear
      Dir.mkdir(@folder, 0o700)
    rescue SystemCallError => e
      raise Error, "cannot create #{@folder} for the socket #{@path}: #{Samehost.reason(e)}; " \
                   "#{PathState.describe_permissions(@folder)}; let this process write there"
    end

    # Removes it with what this server left, or one that was killed while it started; safe while the lock is held.
    def clear
      Dir.each_child(@folder) { |name| File.unlink("#{@folder}/#{name}") if File.socket?("#{@folder}/#{name}") }
      Dir.rmdir(@folder)
    rescue SystemCallError
      nil
    end
  end
end
