# frozen_string_literal: true

require 'socket'
require 'timeout'

module Samehost
  # Explains in one line why a client cannot connect.
  module Diagnosis
    # How long a server may take to send its first frame. On one machine this takes less than a millisecond.
    HANDSHAKE_SECONDS = 1

    # The client's preface, an empty SETTINGS frame, and the layout of a frame header (RFC 9113, 3.4 and 4.1).
    PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0".b.freeze
    FRAME_HEADER_BYTES = 9
    TYPE_OFFSET = 3
    SETTINGS = 4

    module_function

    # Returns the error of a client on a path, or nil if a gRPC server answers.
    def of(path)
      probe(path)
      check_protocol(path)
      nil
    rescue Error => e
      e
    end

    # Raises an error unless a server listens. Never waits.
    def probe(path)
      case PathState.of(path)
      when :absent then fail_with(NoServerError, path, absent(path))
      when :stale
        fail_with(NoServerError, path, 'no server listens on it; start the server again, which replaces the file')
      when :forbidden
        fail_with(PermissionError, path, "permission denied: #{PathState.describe_permissions(path)}; " \
                                         'join that group, or change the group or mode of the socket')
      when :not_a_socket
        fail_with(NotASocketError, path, 'it is not a socket; use the path that the server was started with')
      end
    rescue SystemCallError => e
      fail_with(Error, path, "#{Error.reason(e)}; check its folder, and the limit of open files")
    end

    # Raises an error unless the first frame of the server is that of a gRPC server.
    def check_protocol(path)
      answer = first_bytes(path)
      return if answer.bytesize == FRAME_HEADER_BYTES && answer.getbyte(TYPE_OFFSET) == SETTINGS

      fail_with(NotGRPCError, path, answer.empty? ? closed : not_http2(answer))
    rescue Timeout::Error
      fail_with(NotGRPCError, path, "the server sent nothing within #{HANDSHAKE_SECONDS} s; " \
                                    'check that it is a gRPC server and that it is not blocked')
    rescue SystemCallError => e
      fail_with(NotGRPCError, path, closed(": #{Error.reason(e)}"))
    end

    def absent(path)
      folder = File.dirname(path)
      return "the folder #{folder} does not exist; check the path or mount it" unless File.directory?(folder)

      'no socket exists there; start the server, or mount the folder that it uses'
    end

    def closed(reason = '')
      "the server closed the connection#{reason}; check that it is a gRPC server"
    end

    def not_http2(answer)
      "the server does not speak HTTP/2, its answer starts with #{answer.inspect}; use the path of a gRPC server"
    end

    def fail_with(error_class, path, reason)
      raise error_class, "cannot connect to #{path}: #{reason}"
    end

    def first_bytes(path)
      Timeout.timeout(HANDSHAKE_SECONDS) do
        UNIXSocket.open(path) do |connection|
          connection.write(PREFACE)
          connection.read(FRAME_HEADER_BYTES).to_s
        end
      end
    end

    private_class_method :check_protocol, :absent, :closed, :not_http2, :fail_with, :first_bytes
  end
end
