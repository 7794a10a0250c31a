# frozen_string_literal: true

module Samehost
  # SIGTERM and SIGINT, which people and supervisors stop a server with.
  module StopSignals
    # Calls the first action at the first signal, the next one at the next, in a thread of its own.
    def self.handle(*actions)
      heard, hearing = IO.pipe
      # A signal handler may take no Mutex, so it only writes to a pipe.
      %w[TERM INT].each { |name| trap(name) { hearing.write_nonblock('!') } }
      Thread.new do
        actions.each do |action|
          heard.read(1)
          action.call
        end
      end
    end
  end
end
