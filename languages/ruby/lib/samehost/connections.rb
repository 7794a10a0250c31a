# frozen_string_literal: true

require 'socket'

module Samehost
  # Checks whether clients are connected to a listening socket, because grpc does not report it.
  #
  # It checks the descriptors of this process: an accepted socket has the name of its listener (unix(7)). This is the
  # path that was bound, even after the file is renamed or removed. /proc/net/unix cannot replace this check, because it
  # lists an accepted socket in the network namespace of the client.
  module Connections
    # Folders in which the system lists the open descriptors of this process.
    FOLDERS = %w[/proc/self/fd /dev/fd].freeze

    # The time between two checks. A check takes about 7 microseconds for each open descriptor.
    PAUSE_SECONDS = 0.01

    # How many checks in a row must find no client. A single check could run after accept(2) takes a connection out of
    # the queue, and before its descriptor exists.
    QUIET_CHECKS = 2

    private_constant :FOLDERS, :PAUSE_SECONDS, :QUIET_CHECKS

    module_function

    # Whether the socket bound to a path has an accepted or a queued connection. Returns true if the system does not
    # list descriptors.
    def any?(bound)
      folder = FOLDERS.find { |each| File.directory?(each) }
      folder.nil? || Dir.each_child(folder).any? { |name| client?(Integer(name), bound) }
    rescue SystemCallError
      true
    end

    # Waits until no client is connected to the socket bound to a path, or until the seconds have passed.
    def await_none(bound, seconds)
      finish = now + seconds
      quiet = 0
      while (left = finish - now).positive?
        quiet = any?(bound) ? 0 : quiet + 1
        return if quiet == QUIET_CHECKS

        sleep([PAUSE_SECONDS, left].min)
      end
    end

    def client?(descriptor, bound)
      socket = BasicSocket.for_fd(descriptor)
      # grpc closes the descriptor. A dup(2) would keep a connection open that grpc closes in the meantime.
      socket.autoclose = false
      bound_to?(socket, bound) && (!listens?(socket) || socket.wait_readable(0))
    rescue SystemCallError # it is not a socket, or grpc has closed it
      false
    end

    # Compares bytes, because a path from the command line is UTF-8 and a path from the system is binary.
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
