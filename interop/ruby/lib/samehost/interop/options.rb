# frozen_string_literal: true

require 'optparse'

module Samehost
  module Interop
    # Wrong usage. The program exits with 2.
    class UsageError < StandardError
    end

    # The options of the three commands and their values.
    module Options
      COMMANDS = {
        'serve' => ['--socket PATH', '--mode OCTAL', '--group NAME', '--grace SECONDS', '--trust-folder',
                    '--takeover', '--on-removed serve|stop'],
        'greet' => ['--socket PATH', '--name NAME', '--timeout SECONDS'],
        'interop' => ['--socket PATH', '--case NAME']
      }.freeze

      # The greatest number of seconds, because grpc's clock is limited.
      DAY = 86_400

      module_function

      # Adds the options to a Hash by name. If the Hash has a list for an option, the values are added to the list.
      def parse(command, arguments, given)
        rest = parser(command, given).parse(arguments)
        raise UsageError, "unexpected argument #{rest.first.inspect}; see --help" unless rest.empty?
      rescue OptionParser::ParseError => e
        raise UsageError, "#{e.message}; see --help"
      end

      def mode(text)
        return 0o660 unless text
        raise UsageError, "invalid --mode '#{text}': use 0000 to 0777, in octal" unless text.match?(/\A(0o)?[0-7]+\z/)

        text.to_i(8)
      end

      # A name or a number.
      def group(text)
        text&.match?(/\A\d+\z/) ? text.to_i : text
      end

      def seconds(name, text, default:, least:)
        return default unless text

        seconds = Float(text)
        raise ArgumentError unless seconds.between?(least, DAY)

        seconds
      rescue ArgumentError
        raise UsageError, "invalid --#{name} '#{text}': use seconds from #{least} to #{DAY}"
      end

      def parser(command, given)
        OptionParser.new do |parser|
          parser.require_exact = true
          COMMANDS.fetch(command).each do |option|
            name = option[/\w[\w-]*/].tr('-', '_').to_sym
            parser.on(option) { |value| given[name].is_a?(Array) ? given[name] << value : given[name] = value }
          end
        end
      end
      private_class_method :parser
    end
  end
end
