# frozen_string_literal: true

# C-core's own log says what the errors here say better; it is read when grpc is loaded.
ENV['GRPC_VERBOSITY'] ||= 'NONE'

require 'samehost'
require 'samehost/interop/greetings'
require 'samehost/interop/options'
require 'samehost/interop/runner'
require 'samehost/interop/serving'

module Samehost
  module Interop
    # The three commands of every peer: serve, greet and interop.
    class CommandLine
      NAME = 'samehost-ruby'
      FAILED = 1
      USAGE = 2

      def initialize(arguments)
        # Whatever the locale says: paths, names and messages are UTF-8.
        @arguments = arguments.map { |argument| argument.dup.force_encoding(Encoding::UTF_8) }
        @given = { case: [] }
      end

      # Runs the command and returns the exit code; an error is one line on stderr.
      def run
        dispatch.tap { $stdout.flush }
      rescue UsageError, AddressError => e
        complain(e.message, USAGE)
      rescue UnsafeFolderError => e
        complain("#{e.message}, or give --trust-folder if you trust everyone who can reach it", FAILED)
      rescue Error => e
        complain(e.message, FAILED)
      rescue Interrupt
        complain('interrupted', FAILED)
      rescue Errno::EPIPE # whoever read our output has gone
        FAILED
      end

      private

      def dispatch
        broken = @arguments.find { |argument| !argument.valid_encoding? }
        raise UsageError, "the argument #{broken.inspect} is not UTF-8; write it so" if broken
        # With require_exact, OptionParser of Ruby 3.1 fails on a --help of its own.
        return help if @arguments.intersect?(%w[--help -h])

        command, *arguments = @arguments
        raise UsageError, "no command #{command.inspect}; give one of #{Options::COMMANDS.keys.join(', ')}" unless
          Options::COMMANDS.key?(command)

        Options.parse(command, arguments, @given)
        @address = SocketAddress.new(@given[:socket] || raise(UsageError, 'no --socket; give the path of the socket'))
        send(command)
      end

      def help
        Options::COMMANDS.each { |command, options| puts "#{NAME} #{command} #{options.join(' ')}" }
        0
      end

      def serve
        serving.run
        0
      end

      def serving
        Serving.new(
          @address,
          mode: Options.mode(@given[:mode]), group: Options.group(@given[:group]),
          grace: Options.seconds('grace', @given[:grace], default: 5, least: 0),
          trust_folder: @given.fetch(:trust_folder, false), takeover: @given.fetch(:takeover, false),
          on_removed: @given.fetch(:on_removed, 'serve').to_sym
        )
      rescue ArgumentError => e
        raise UsageError, e.message
      end

      def greet
        name = @given[:name] || raise(UsageError, 'no --name; say who is greeted')
        timeout = Options.seconds('timeout', @given[:timeout], default: 5, least: 0.001)
        Greetings.each(@address, name, timeout) do |exchange|
          puts exchange
          $stdout.flush
        end
        0
      end

      def interop
        raise UsageError, 'no --case; name an official case' if @given[:case].empty?

        Runner.new(@address).run(@given[:case]) ? 0 : FAILED
      end

      def complain(message, code)
        # Every error names the socket's path, wherever it comes from.
        path = @address&.path || @given[:socket]
        message = "#{message} (socket #{path})" unless path.nil? || message.include?(path)
        warn "#{NAME}: #{message.split.join(' ')}"
        code
      end
    end
  end
end
