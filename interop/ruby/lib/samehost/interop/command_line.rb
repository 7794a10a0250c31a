# frozen_string_literal: true

# Turns off the log of C-core, because the errors here explain more. C-core reads this when grpc is loaded.
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
        # Paths, names and messages are UTF-8 in every locale.
        @arguments = arguments.map { |argument| argument.dup.force_encoding(Encoding::UTF_8) }
        @given = { case: [] }
      end

      # Runs the command and returns the exit code. Prints an error as one line on stderr.
      def run
        dispatch.tap { $stdout.flush }
      rescue UsageError, AddressError => e
        print_error(e.message, USAGE)
      rescue UnsafeFolderError => e
        print_error("#{e.message}, or use --trust-folder", FAILED)
      rescue Error => e
        print_error(e.message, FAILED)
      rescue Interrupt
        print_error('interrupted', FAILED)
      rescue Errno::EPIPE # the reader closed our stdout
        FAILED
      end

      private

      def dispatch
        invalid = @arguments.find { |argument| !argument.valid_encoding? }
        raise UsageError, "invalid argument #{invalid.inspect}: it is not UTF-8; use UTF-8" if invalid
        # With require_exact, OptionParser of Ruby 3.1 fails on its own --help.
        return help if @arguments.intersect?(%w[--help -h])

        command, *arguments = @arguments
        raise UsageError, "invalid command #{command.to_s.inspect}: use serve, greet or interop, or --help" unless
          Options::COMMANDS.key?(command)

        Options.parse(command, arguments, @given)
        @address = SocketAddress.new(@given[:socket] || raise(UsageError, 'missing --socket; add the path to use'))
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
        name = @given[:name] || raise(UsageError, 'missing --name; add the name to greet')
        timeout = Options.seconds('timeout', @given[:timeout], default: 5, least: 0.001)
        Greetings.each(@address, name, timeout) do |exchange|
          puts exchange
          $stdout.flush
        end
        0
      end

      def interop
        raise UsageError, 'missing --case; add the name of an official case' if @given[:case].empty?

        Runner.new(@address).run(@given[:case]) ? 0 : FAILED
      end

      def print_error(message, code)
        # Every error must name the path of the socket.
        path = @address&.path || @given[:socket]
        message = "#{message} (socket #{path})" unless path.nil? || message.include?(path)
        warn "#{NAME}: #{message.split.join(' ')}"
        code
      end
    end
  end
end
