# frozen_string_literal: true

module Samehost
  # Notices that someone has removed the file of a server that serves, or has put another in its place: clean-up scripts
  # delete what is in use, and a server that no new client finds must not look healthy.
  module Removal
    # How often to look: about as often as clients dial that wait for a server. A look is one lstat(2).
    PACE_SECONDS = 1.0

    # @yield [RemovedError] once, if the listener's file is lost
    # @return [Thread] which looks; kill it when the server begins to stop
    def self.watch(listener)
      Thread.new do
        sleep(PACE_SECONDS) until listener.lost?
        yield RemovedError.new("someone has removed #{listener.path}, or put another in its place: no new client " \
                               'finds this server; start it again, and leave the file alone')
      end
    end
  end
end
