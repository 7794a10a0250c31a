# frozen_string_literal: true

module Samehost
  # Every error of this library: the path, the cause and the remedy, in one line. Where the system refused something,
  # `cause` is its SystemCallError.
  class Error < StandardError
    # What the system says of an error, without the file and the Ruby function that Errno's own message adds.
    def self.reason(system_error)
      system_error.class.new.message
    end
  end

  # The address is relative, too long, or has characters that gRPC libraries do not read alike.
  class AddressError < Error; end

  # A server has the path, or may have it.
  class InUseError < Error; end

  # Every user may write to the folder, and so replace the socket.
  class UnsafeFolderError < Error; end

  # The lock file has other content, is not a regular file with one name, or others may lock it.
  class LockFileError < Error; end

  # Another kind of file is at the path.
  class NotASocketError < Error; end

  # Nobody listens: there is no socket, or its server is gone. A server that starts later cures it.
  class NoServerError < Error; end

  # This process may not connect to the socket.
  class PermissionError < Error; end

  # What listens does not speak HTTP/2 without TLS.
  class NotGRPCError < Error; end

  # Someone has removed the socket of a server, or has put another file in its place.
  class RemovedError < Error; end
end
