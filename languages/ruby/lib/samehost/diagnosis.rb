# frozen_string_literal: true

require 'grpc'
require 'socket'
require 'timeout'
require 'samehost/errors'
require 'samehost/path_state'

module Samehost
  # Why a server can't be reached, or a call failed, told apart and said in one line with the remedy.
  module Diagnosis
    # How long a server may take to send its first frame; on one machine it takes less than a millisecond.
    HANDSHAKE_SECONDS = 1

    # RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
    PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0".b.freeze
    FRAME_HEADER_BYTES = 9
    TYPE_OFFSET = 3
    SETTINGS = 4

    STATUS_NAMES = GRPC::Core::StatusCodes.constants.to_h { |name| [GRPC::Core::StatusCodes.const_get(name), name] }

    module_function

    # Says why no gRPC server can be reached at the address, by looking and dialling; nil where one answers.
    def diagnose(address)
      text = fault(address.path)
      Error.new(text) if text
    end

    # Says what a failed call means: why the server can't be reached, or else what it answered.
    def explain(error, address)
      case error
      when GRPC::Unavailable
        diagnose(address) || answered(error, address)
      when GRPC::DeadlineExceeded
        diagnose(address) || Error.new("no answer from #{address} before the deadline: #{details(error)}; " \
                                       'give it more time, or see what keeps it')
      else
        answered(error, address)
      end
    end

    # Why waiting for a server was in vain.
    def not_ready(address, seconds)
      diagnose(address) || Error.new("a server answers at #{address.path} and was not ready within #{seconds} s; " \
                                     'wait longer, or see its log')
    end

    def refuse_what_waiting_cannot_cure(address)
      return unless %i[not_a_socket forbidden].include?(PathState.of(address.path))

      reason = diagnose(address)
      raise reason if reason
    end

    # A status that was not expected, in one line.
    def unexpected(error)
      "status: expected OK, got #{status_name(error)} #{details(error)}"
    end

    def status_name(error)
      STATUS_NAMES.fetch(error.code, error.code)
    end

    # The message of a status, in one line; grpc gives bytes.
    def details(error)
      text = error.details.dup.force_encoding(Encoding::UTF_8).scrub.split.join(' ')
      text.empty? ? 'no details' : text
    end

    def answered(error, address)
      Error.new("#{address} answered #{status_name(error)}: #{details(error)}")
    end

    def fault(path)
      case PathState.of(path)
      when :absent then absent(path)
      when :stale then "nobody listens on #{path}: its server is gone; start it again and it replaces the file"
      when :forbidden
        "no permission to connect to #{path}: #{PathState.describe_permissions(path)}; " \
        'connecting takes write permission: run in that group, or serve with another --group or --mode'
      when :not_a_socket then "#{path} is not a socket; give the path that the server was started with"
      when :live then protocol_fault(path)
      end
    end

    def absent(path)
      folder = File.dirname(path)
      unless File.directory?(folder)
        return "no socket at #{path}: there is no folder #{folder}; create it or mount it here"
      end

      "no socket at #{path}: start its server, or mount the folder that it serves in"
    end

    def protocol_fault(path)
      answer = first_bytes(path)
      return if answer.bytesize == FRAME_HEADER_BYTES && answer.getbyte(TYPE_OFFSET) == SETTINGS

      "what listens on #{path} does not speak HTTP/2: it began with #{answer.inspect}; " \
        'give the path of a gRPC server without TLS'
    rescue Timeout::Error
      "what listens on #{path} did not speak within #{HANDSHAKE_SECONDS} s; " \
      'see whether it is a gRPC server, and whether it hangs'
    rescue SystemCallError => e
      "what listens on #{path} hung up: #{Samehost.reason(e)}; see whether it is a gRPC server"
    end

    def first_bytes(path)
      Timeout.timeout(HANDSHAKE_SECONDS) do
        UNIXSocket.open(path) do |connection|
          connection.write(PREFACE)
          connection.read(FRAME_HEADER_BYTES).to_s
        end
      end
    end

    private_class_method :answered, :fault, :absent, :protocol_fault, :first_bytes
  end
end
