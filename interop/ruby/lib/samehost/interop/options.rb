# frozen_string_literal: true

require 'etc'
require 'optparse'
require 'samehost/errors'

module Samehost
  module Interop
    # The options of the three commands, and what their values mean.
    module Options
      COMMANDS = {
        'serve' => ['--socket PATH', '--mode OCTAL', '--group NAME', '--grace SECONDS', '--trust-folder',
                    '--takeover', '--on-removed serve|stop'],
        'greet' => ['--socket PATH', '--name NAME', '--timeout SECONDS'],
        'interop' => ['--socket PATH', '--case NAME']
      }.freeze

      # The greatest number of seconds: grpc's clock has an end.
      DAY = 86_400

      # One less is the greatest id of a group: chown(2) takes this one for "leave it".
      NO_GROUP = (2**32) - 1

      module_function

      # Puts the values of the options that are given into a Hash, by name; where that has a list, they are added to it.
      def parse(command, arguments, given)
        rest = parser(command, given).parse(arguments)
        raise UsageError, "an argument too many: #{rest.first.inspect}" unless rest.empty?
      rescue OptionParser::ParseError => e
        raise UsageError, "#{e.message}; see --help"
      end

      def mode(text)
        return 0o660 unless text
        raise UsageError, "mode '#{text}' is not octal; write it as in 0660" unless text.match?(/\A(0o)?[0-7]+\z/)

        mode = text.to_i(8)
        raise UsageError, "mode '#{text}' is none a socket can have; give one from 0000 to 0777" if mode > 0o777

        mode
      end

      # The id of a group, given by name or number.
      def gid(text)
        return unless text
        return Etc.getgrnam(text).gid unless text.match?(/\A\d+\z/)

        raise UsageError, "group #{text} is none there can be; give a smaller number" if text.to_i >= NO_GROUP

        text.to_i
      rescue ArgumentError
        raise UsageError, "no group is named '#{text}' on this machine; create it, or give its number"
      end

      def on_removed(text)
        return :serve unless text
        raise UsageError, "on-removed is '#{text}' and must be 'serve' or 'stop'" unless %w[serve stop].include?(text)

        text.to_sym
      end

      def seconds(name, text, default:, least:)
        return default unless text

        seconds = Float(text)
        raise ArgumentError unless seconds.between?(least, DAY)

        seconds
      rescue ArgumentError
        raise UsageError, "#{name} is '#{text}' and must be a number of seconds from #{least} to #{DAY}"
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
