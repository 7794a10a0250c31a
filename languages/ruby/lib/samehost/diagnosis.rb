# frozen_string_literal: true

require 'socket'
require 'timeout'

module Samehost
  # Why a server can't be reached, said in one line with the remedy.
  module Diagnosis
    # How long a server may take to send its first frame; on one machine it takes less than a millisecond.
    HANDSHAKE_SECONDS = 1

    # RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
    PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0".b.freeze
    FRAME_HEADER_BYTES = 9
    TYPE_OFFSET = 3
    SETTINGS = 4

    module_function

    # What keeps a client from reaching a gRPC server at a path; nil where nothing does.
    def of(path)
      probe(path)
      check_protocol(path)
      nil
    rescue Error => e
      e
    end

    # Raises unless someone listens; never waits.
    def probe(path)
      case PathState.of(path)
      when :absent then raise NoServerError, absent(path)
      when :stale
        raise NoServerError, "nobody listens on #{path}: its server is gone; start it again and it replaces the file"
      when :forbidden
        raise PermissionError, "no permission to connect to #{path}: #{PathState.describe_permissions(path)}; " \
                               'connecting takes write permission: run in that group, or give the socket another ' \
                               'group or mode'
      when :not_a_socket
        raise NotASocketError, "#{path} is not a socket; give the path that the server was started with"
      end
    end

    # Raises unless what listens begins as a gRPC server does.
    def check_protocol(path)
      answer = first_bytes(path)
      return if answer.bytesize == FRAME_HEADER_BYTES && answer.getbyte(TYPE_OFFSET) == SETTINGS

      raise NotGRPCError, "what listens on #{path} does not speak HTTP/2: it began with #{answer.inspect}; " \
                          'give the path of a gRPC server without TLS'
    rescue Timeout::Error
      raise NotGRPCError, "what listens on #{path} did not speak within #{HANDSHAKE_SECONDS} s; " \
                          'see whether it is a gRPC server, and whether it hangs'
    rescue SystemCallError => e
      raise NotGRPCError, "what listens on #{path} hung up: #{Error.reason(e)}; see whether it is a gRPC server"
    end

    def absent(path)
      folder = File.dirname(path)
      unless File.directory?(folder)
        return "no socket at #{path}: there is no folder #{folder}; create it or mount it here"
      end

      "no socket at #{path}: start its server, or mount the folder that it serves in"
    end

    def first_bytes(path)
      Timeout.timeout(HANDSHAKE_SECONDS) do
        UNIXSocket.open(path) do |connection|
          connection.write(PREFACE)
          connection.read(FRAME_HEADER_BYTES).to_s
        end
      end
    end

    private_class_method :check_protocol, :absent, :first_bytes
  end
end
