# frozen_string_literal: true

require 'socket'

module Samehost
  # Finds out whether clients are connected to a listening socket, which grpc does not tell.
  #
  # An accepted socket has the name of its listener (unix(7)), so the descriptors of this process are asked for theirs.
  # That is the path that was bound, which a listener keeps as its name when its file is renamed or removed.
  # /proc/net/unix would not do: it lists an accepted socket in the network namespace of the client.
  module Connections
    # Where the system lists the open descriptors of this process.
    FOLDERS = %w[/proc/self/fd /dev/fd].freeze

    # How often to look; a look takes some 7 microseconds for each open descriptor.
    PACE_SECONDS = 0.01

    # How many looks in a row must find no client: one may fall between accept(2), which takes a connection out of the
    # queue, and the new descriptor.
    QUIET_LOOKS = 2

    private_constant :FOLDERS, :PACE_SECONDS, :QUIET_LOOKS

    module_function

    # Whether this process has a connection that was accepted by the socket bound to a path, or has one waiting; true
    # where the system does not say.
    def any?(bound)
      folder = FOLDERS.find { |each| File.directory?(each) }
      folder.nil? || Dir.each_child(folder).any? { |name| client?(Integer(name), bound) }
    rescue SystemCallError
      true
    end

    # Waits until no client is connected to the socket bound to a path, or the seconds are over.
    def await_none(bound, seconds)
      finish = now + seconds
      quiet = 0
      while (left = finish - now).positive?
        quiet = any?(bound) ? 0 : quiet + 1
        return if quiet == QUIET_LOOKS

        sleep([PACE_SECONDS, left].min)
      end
    end

    def client?(descriptor, bound)
      socket = BasicSocket.for_fd(descriptor)
      # It is grpc's to close. No dup(2): that would keep a connection open which grpc closes meanwhile.
      socket.autoclose = false
      bound_to?(socket, bound) && (!listens?(socket) || socket.wait_readable(0))
    rescue SystemCallError # it is no socket, or was closed meanwhile
      false
    end

    # A path from the command line is UTF-8, and one from the system is bytes.
    def bound_to?(socket, bound)
      address = socket.local_address
      address.unix? && address.unix_path.b == bound.b
    end

    def listens?(socket)
      socket.getsockopt(:SOCKET, :ACCEPTCONN).bool
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    private_class_method :client?, :bound_to?, :listens?, :now
  end
end
