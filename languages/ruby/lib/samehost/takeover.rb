# frozen_string_literal: true

require 'json'
require 'socket'
require 'timeout'

module Samehost
  # How a path goes from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
  #
  # Both talk over a socket beside the path, which its owner alone may dial: whoever could dial it could make the server
  # go. Lines of JSON say what has happened; a connection that ends says that the other one is gone.
  module Takeover
    # How long a server may take to release its lock, which takes it less than a millisecond.
    ANSWER_SECONDS = 5

    # How long a successor may be silent without the lock, for which it tries for 2 s.
    SILENCE_SECONDS = 5

    # How often to try again for the lock, or for a successor when no descriptor was left for it.
    PACE_SECONDS = 0.05

    # 2 s: a third server may hold the lock for a moment, while it finds the path live.
    TRIES_BEFORE_WARNING = 40

    LINE_BYTES = 4096

    RELEASED = { event: 'released' }.freeze
    PUBLISHED = { event: 'published' }.freeze

    module_function

    # Where the server at the path listens for its successor; nil where that name is too long for a socket.
    def control_path(path)
      control = "#{path}.takeover"
      control if control.bytesize <= SocketAddress::MAX_PATH_BYTES
    end

    # Listens at a private path, which only the server's own user may dial when it has its name.
    def listen(private_path)
      UNIXServer.new(private_path).tap { File.chmod(0o600, private_path) }
    end

    def send_line(connection, message)
      connection.puts(JSON.generate(message))
    end

    # The next line; nil where the connection ends or is closed, or where it is no JSON.
    def receive_line(connection)
      JSON.parse(connection.gets("\n", LINE_BYTES).to_s, symbolize_names: true)
    rescue JSON::ParserError, EncodingError, IOError, Errno::ECONNRESET
      nil
    end

    # The server that has the path, as its successor meets it: it has released its lock when this is made.
    class Predecessor
      # @param folder [Folder] that of the socket
      def initialize(folder, path)
        @path = path
        control = Takeover.control_path(path)
        refuse 'its name leaves no room for .takeover; stop its server' unless control

        released = released?(folder.connectable(File.basename(control)))
        refuse 'its server goes, or another takes over; try again' unless released
      rescue SystemCallError, Timeout::Error => e
        reason = e.is_a?(Timeout::Error) ? "no answer within #{ANSWER_SECONDS} s" : Error.reason(e)
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
      # @param path [String] what is handed over, for the log
      # @param server [UNIXServer] listens at Takeover.control_path
      # @param listener [Listener] is told to #release its lock, and to #retake it when a successor has failed
      # @param logger [Logger] receives warnings
      # @yield in that thread, when a successor has published
      def initialize(path, server, listener, logger, &handed_over)
        @path = path
        @server = server
        @listener = listener
        @logger = logger
        @handed_over = handed_over
        Thread.new { answer }
      end

      # Answers no more; whoever waits is hung up on.
      def close
        @server.close
      end

      private

      def answer
        nil until answer_next
        @handed_over.call
      rescue IOError # closed while it waited in accept
        nil
      ensure
        close
      end

      # Whether the next successor has published.
      def answer_next
        connection = @server.accept
        hand_over(connection)
      rescue SystemCallError # no descriptor is left, which passes
        sleep(PACE_SECONDS)
        false
      ensure
        connection&.close
      end

      def hand_over(connection)
        return false unless @listener.release
        return true if published?(connection)

        retake
        false
      end

      # One that is silent may take its time to start, if it has the lock.
      def published?(connection)
        Takeover.send_line(connection, RELEASED)
        answer = Thread.new { Takeover.receive_line(connection) }
        until answer.join(SILENCE_SECONDS)
          next unless @listener.retake

          @logger.warn "a successor that wanted to take #{@path} over said nothing more"
          return false
        end
        answer.value == PUBLISHED
      rescue SystemCallError # it has hung up
        false
      end

      # However long another process holds the lock.
      def retake
        tries = 0
        until @listener.retake
          tries += 1
          @logger.warn "a takeover of #{@path} failed, and its lock is still held" if tries == TRIES_BEFORE_WARNING
          sleep(PACE_SECONDS)
        end
      end
    end
  end
end
