# frozen_string_literal: true

require 'json'
require 'socket'
require 'timeout'

module Samehost
  # Hands a path over from a running server to its successor. PROTOCOL.md specifies this under Takeover.
  #
  # They connect over the socket <path>.takeover. Only the user of the server may dial it, because a successor can stop
  # the server. Each message is a line of JSON. The end of the connection means that the other side is gone.
  module Takeover
    # How long a server may take to release its lock. It usually takes less than a millisecond.
    ANSWER_SECONDS = 5

    # How long a successor may stay silent while it does not hold the lock. It tries to take the lock for 2 s.
    SILENCE_SECONDS = 5

    # The time between two attempts to take the lock, or to accept a successor without free descriptors.
    PAUSE_SECONDS = 0.05

    # 2 s of attempts: a third server may hold the lock until it finds that the path is live.
    TRIES_BEFORE_WARNING = 40

    LINE_BYTES = 4096

    RELEASED = { event: 'released' }.freeze
    PUBLISHED = { event: 'published' }.freeze

    module_function

    # The path on which a server listens for its successor, or nil if it is too long for a socket.
    def control_path(path)
      control = "#{path}.takeover"
      control if control.bytesize <= SocketAddress::MAX_PATH_BYTES
    end

    # Listens on a private path with a mode that lets only the user of the server connect.
    def listen(private_path, path)
      UNIXServer.new(private_path).tap { File.chmod(0o600, private_path) }
    rescue SystemCallError => e
      raise Error.cannot_bind(path, Error.reason(e))
    end

    def send_line(connection, message)
      connection.puts(JSON.generate(message))
    end

    # The next message, or nil if the connection ends or the line is not JSON.
    def receive_line(connection)
      JSON.parse(connection.gets("\n", LINE_BYTES).to_s, symbolize_names: true)
    rescue JSON::ParserError, EncodingError, IOError, Errno::ECONNRESET
      nil
    end

    # The connection of a successor to the running server. The server has released its lock when `new` returns.
    class Predecessor
      # @param folder [Folder] the folder of the socket
      # @raise [InUseError] the server does not hand its path over
      def initialize(folder, path)
        @path = path
        control = Takeover.control_path(path)
        refuse 'its name leaves no room for .takeover; stop its server and start this one' unless control

        released = released?(folder.connectable(File.basename(control)))
        refuse 'its server is stopping, or another server is taking over; try again' unless released
      rescue Errno::ENOENT, Errno::ECONNREFUSED
        refuse "no server listens on #{control}, so its server allows no takeover, or is starting or stopping; " \
               'stop its server and start this one'
      rescue SystemCallError, Timeout::Error => e
        reason = e.is_a?(Timeout::Error) ? "timed out after #{ANSWER_SECONDS} s" : Error.reason(e)
        refuse "its server does not answer on #{control}: #{reason}; " \
               'stop it, or kill it if it is blocked, and start this one'
      end

      # Tells the running server that the path is taken over, so that it drains and exits.
      def send_published
        Takeover.send_line(@connection, PUBLISHED)
      rescue SystemCallError # the server has already exited
        nil
      ensure
        close
      end

      # Closes the connection. Before #send_published, this makes the running server take its lock again and continue
      # to serve. Can be called again.
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
        raise InUseError, "cannot take over #{@path}: #{reason}"
      end
    end

    # Answers successors one at a time in its own thread, until one has published or until #close.
    class Successors
      # @param path [String] the path to hand over, for the log
      # @param server [UNIXServer] listens on Takeover.control_path
      # @param listener [Listener] releases its lock, and takes it again when a successor fails
      # @param logger [Logger] receives warnings
      # @yield in that thread, when a successor has published
      def initialize(path, server, listener, logger, &taken_over)
        @path = path
        @server = server
        @listener = listener
        @logger = logger
        @taken_over = taken_over
        Thread.new { answer }
      end

      # Stops answering. This closes the connections of waiting successors.
      def close
        @server.close
      end

      private

      def answer
        nil until answer_next
        @taken_over.call
      rescue IOError # #close was called during accept
        nil
      ensure
        close
      end

      # Answers the next successor. Returns whether it has published.
      def answer_next
        connection = @server.accept
        hand_over(connection)
      rescue SystemCallError # no descriptor is free at the moment
        sleep(PAUSE_SECONDS)
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

      # Waits for the next message. A successor that holds the lock may stay silent as long as it starts.
      def published?(connection)
        Takeover.send_line(connection, RELEASED)
        answer = Thread.new { Takeover.receive_line(connection) }
        until answer.join(SILENCE_SECONDS)
          next unless @listener.retake

          @logger.warn "a takeover of #{@path} failed: the successor sent nothing more"
          return false
        end
        answer.value == PUBLISHED
      rescue SystemCallError # the successor closed the connection
        false
      end

      # Takes the lock again, even if another process holds it for a long time.
      def retake
        tries = 0
        until @listener.retake
          tries += 1
          if tries == TRIES_BEFORE_WARNING
            @logger.warn "a takeover of #{@path} failed, and another process holds the lock"
          end
          sleep(PAUSE_SECONDS)
        end
      end
    end
  end
end
