# frozen_string_literal: true

module Samehost
  # Detects that someone removed or replaced the file of a running server. Clean-up scripts do this, and a server that
  # new clients cannot reach must not look healthy.
  module Removal
    # The time between two checks. Clients that wait for a server dial about as often. A check is one lstat(2).
    PAUSE_SECONDS = 1.0

    # @yield [RemovedError] once, if the file of the listener is lost
    # @return [Thread] the thread that checks; kill it when the server starts to stop
    def self.watch(listener)
      Thread.new do
        sleep(PAUSE_SECONDS) until listener.lost?
        yield RemovedError.new("the socket #{listener.path} was removed or replaced, and new clients cannot " \
                               'connect; start the server again')
      end
    end
  end
end
