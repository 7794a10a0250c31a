# frozen_string_literal: true

require 'minitest/autorun'
require 'English'
require 'socket'
require 'tmpdir'

# The effect of signals on a server process.
class ServingTest < Minitest::Test
  PROGRAM = File.expand_path('../bin/samehost-ruby', __dir__)

  def setup
    @folder = Dir.mktmpdir
    @path = "#{@folder}/app.sock"
    @servers = []
  end

  def teardown
    @servers.reject(&:closed?).each { |server| Process.kill(:KILL, server.pid) }
    FileUtils.remove_entry(@folder)
  end

  # grpc waits for a handshake like for a call, so a silent client delays a stop by 1.3 s and the grace.

  def test_a_takeover_does_not_count_as_a_signal
    old = start('--grace', '2')
    UNIXSocket.open(@path) do
      start('--takeover')
      assert_includes 0.3..10, seconds_to_end(old, signals: 1)
    end
  end

  def test_a_second_signal_ends_the_server_at_once
    server = start('--grace', '20')
    UNIXSocket.open(@path) { assert_operator seconds_to_end(server, signals: 2), :<, 10 }
    refute_path_exists @path
  end

  private

  # Returns when the server is ready.
  def start(*options)
    IO.popen([PROGRAM, 'serve', '--socket', @path, *options]).tap do |server|
      @servers << server
      server.gets
    end
  end

  def seconds_to_end(server, signals:)
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    signals.times do
      Process.kill(:TERM, server.pid)
      sleep(0.1) # the system may merge two pending signals of one kind
    end
    server.close # waits for the process
    assert_predicate $CHILD_STATUS, :success?
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
  end
end
