# frozen_string_literal: true

module Samehost
  # The base of all errors of this library. The message is one line with the path, the cause and the remedy. If the
  # system returned an error, `cause` is the SystemCallError.
  class Error < StandardError
    # The message of the system in lower case, without the file and the function that Errno adds.
    def self.reason(system_error)
      system_error.class.new.message.sub(/\A./, &:downcase)
    end

    # The error of a socket that cannot be bound.
    def self.cannot_bind(path, reason)
      new("cannot listen on #{path}: cannot bind a socket: #{reason}; use a file system that has sockets and space")
    end
  end

  # The address is relative, too long, or has characters that gRPC libraries read differently.
  class AddressError < Error; end

  # A server uses the path, or may use it.
  class InUseError < Error; end

  # Every user may write to the folder, and so can replace the socket.
  class UnsafeFolderError < Error; end

  # The lock file holds other data, is not a regular file with one name, or can be locked by another user.
  class LockFileError < Error; end

  # Another kind of file is at the path.
  class NotASocketError < Error; end

  # No server listens: the socket is missing, or its server was killed. A client that waits can still succeed.
  class NoServerError < Error; end

  # This process may not connect to the socket.
  class PermissionError < Error; end

  # The server does not speak HTTP/2 without TLS.
  class NotGRPCError < Error; end

  # Someone removed the socket of a server, or put another file in its place.
  class RemovedError < Error; end
end
