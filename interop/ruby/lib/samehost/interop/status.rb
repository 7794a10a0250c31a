# frozen_string_literal: true

require 'samehost'

module Samehost
  module Interop
    # What the status of a failed call says, in one line.
    module Status
      NAMES = GRPC::Core::StatusCodes.constants.to_h { |name| [GRPC::Core::StatusCodes.const_get(name), name] }

      module_function

      # Why the server can't be reached, or else what it answered.
      def explain(error, address)
        cause = Samehost.diagnose(address) if [GRPC::Unavailable, GRPC::DeadlineExceeded].include?(error.class)
        cause || Error.new(
          case error
          when GRPC::DeadlineExceeded
            "no answer from #{address} before the deadline: #{details(error)}; give it more time, or see what keeps it"
          else "#{address} answered #{code_name(error)}: #{details(error)}"
          end
        )
      end

      # One that was not expected.
      def unexpected(error)
        "status: expected OK, got #{code_name(error)} #{details(error)}"
      end

      def code_name(error)
        NAMES.fetch(error.code, error.code)
      end

      # The message; grpc gives bytes.
      def details(error)
        text = error.details.dup.force_encoding(Encoding::UTF_8).scrub.split.join(' ')
        text.empty? ? 'no details' : text
      end
      private_class_method :details
    end
  end
end
