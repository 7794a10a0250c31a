# frozen_string_literal: true

require 'samehost'

module Samehost
  module Interop
    # Explains the status of a failed call in one line.
    module Status
      NAMES = GRPC::Core::StatusCodes.constants.to_h { |name| [GRPC::Core::StatusCodes.const_get(name), name] }

      module_function

      # Returns the reason why the client cannot connect, or else the status of the call.
      def explain(error, address)
        cause = Samehost.diagnose(address) if [GRPC::Unavailable, GRPC::DeadlineExceeded].include?(error.class)
        cause || Error.new(
          case error
          when GRPC::DeadlineExceeded
            "no answer from #{address} before the deadline: #{details(error)}; " \
            'use a longer deadline, or check the server'
          else "#{address} returned #{code_name(error)}: #{details(error)}"
          end
        )
      end

      # Describes an unexpected status.
      def unexpected(error)
        "status: expected OK, got #{code_name(error)} #{details(error)}"
      end

      def code_name(error)
        NAMES.fetch(error.code, error.code)
      end

      # The message as UTF-8, because grpc returns bytes.
      def details(error)
        text = error.details.dup.force_encoding(Encoding::UTF_8).scrub.split.join(' ')
        text.empty? ? 'no details' : text
      end
      private_class_method :details
    end
  end
end
