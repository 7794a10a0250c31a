# frozen_string_literal: true

# gRPC between two programs on one machine, over a Unix domain socket.
module Samehost
  # What went wrong, the value and the remedy, in one line; a program that ends with it exits with 1.
  class Error < StandardError
  end

  # Another server has the path.
  class InUseError < Error
  end

  # Wrong usage: a program that ends with it exits with 2.
  class UsageError < Error
  end

  # What the system says of an error, without the file and the Ruby function that Errno's own message adds.
  def self.reason(error)
    error.class.new.message
  end
end
