# frozen_string_literal: true

require 'json'
require 'socket'
require 'timeout'
require 'samehost/errors'
require 'samehost/socket_address'

module Samehost
  # How a path goes from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
  #
  # Both talk over a socket beside the path, which its owner alone may dial: whoever could dial it could make the server
  # go. Lines of JSON say what has happened; a connection that ends says that the other one is gone.
  module Takeover
    # How long a server may take to release its lock, which takes it less than a millisecond.
    ANSWER_SECONDS = 5

    LINE_BYTES = 4096

    RELEASED = { event: 'released' }.freeze
    PUBLISHED = { event: 'published' }.freeze

    module_function

    # Where the server at the path listens for its successor; nil where that name is too long for a socket.
    def control_path(path)
      control = "#{path}.takeover"
      control if control.bytesize <= SocketAddress::MAX_PATH_BYTES
    end

    def send_line(connection, message)
      connection.puts(JSON.generate(message))
    end

    # The next line; nil where the connection ends, or where it is no JSON.
    def receive_line(connection)
      JSON.parse(connection.gets("\n", LINE_BYTES).to_s, symbolize_names: true)
    rescue JSON::ParserError, Errno::ECONNRESET # as one has it who waits in the queue of a server that goes
      nil
    end

    # The server that has the path, as its successor meets it: it has released its lock when this is made.
    class Predecessor
      def initialize(path)
        @path = path
        control = Takeover.control_path(path)
        refuse 'its name leaves no room for .takeover; stop its server' unless control

        refuse 'its server goes, or another takes over; try again' unless released?(control)
      rescue SystemCallError, Timeout::Error => e
        reason = e.is_a?(Timeout::Error) ? "no answer within #{ANSWER_SECONDS} s" : Samehost.reason(e)
        refuse "nobody answers at #{control}: #{reason}; stop its server"
      end

      # Says that the path is the successor's now, so that the server drains and goes.
      def tell_published
        Takeover.send_line(@connection, PUBLISHED)
      rescue SystemCallError # it has gone already
        nil
      ensure
        close
      end

      # Hangs up: unless it was told, the server takes its lock again and serves on. Doing it twice is harmless.
      def close
        @connection&.close
      end

      private

      def released?(control)
        Timeout.timeout(ANSWER_SECONDS) do
          @connection = UNIXSocket.new(control)
          Takeover.receive_line(@connection) == RELEASED
        end
      end

      def refuse(reason)
        close
        raise InUseError, "#{@path} can't be taken over: #{reason}"
      end
    end

    # Answers successors, one at a time, in a thread of its own, until one has published or #close.
    class Successors
      # @param server [UNIXServer] listens at Takeover.control_path
      # @param listener [Listener] is told to #release its lock, and to #retake it when a successor has given up
      # @yield in that thread, when a successor has published
      def initialize(server, listener, &handed_over)
        @server = server
        @listener = listener
        @handed_over = handed_over
        Thread.new { answer }
      end

      # Answers no more; whoever waits is hung up on.
      def close
        @server.close
      end

      private

      def answer
        until hand_over(connection = @server.accept)
          connection.close
          @listener.retake
        end
        @handed_over.call
      rescue IOError # closed while it waited in accept
        nil
      rescue SystemCallError => e # too many open files, for example
        warn "the server can't be taken over any more: #{Samehost.reason(e)}"
      ensure
        connection&.close
        close
      end

      # Whether the successor has published. It has no deadline, as it may take long to start; the system hangs up for
      # one that dies.
      def hand_over(connection)
        return false unless @listener.release

        Takeover.send_line(connection, RELEASED)
        Takeover.receive_line(connection) == PUBLISHED
      rescue Errno::EPIPE
        false
      end
    end
  end
end
