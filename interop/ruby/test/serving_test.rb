# frozen_string_literal: true

require 'minitest/autorun'
require 'English'
require 'socket'
require 'tmpdir'

# What signals do to a server, in a process of its own.
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

  # grpc waits for a handshake as for a call, so a silent client keeps a server for 1.3 s and the grace.

  def test_a_signal_after_a_takeover_is_the_first
    old = start('--grace', '2')
    UNIXSocket.open(@path) do
      start('--takeover')
      assert_includes 0.3..10, seconds_to_end(old, signals: 1)
    end
  end

  def test_a_second_signal_ends_it_at_once
    server = start('--grace', '20')
    UNIXSocket.open(@path) { assert_operator seconds_to_end(server, signals: 2), :<, 10 }
    refute_path_exists @path
  end

  private

  # Returns when it is ready.
  def start(*options)
    IO.popen([PROGRAM, 'serve', '--socket', @path, *options]).tap do |server|
      @servers << server
      server.gets
    end
  end

  def seconds_to_end(server, signals:)
    begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    signals.times do
      Process.kill(:TERM, server.pid)
      sleep(0.1) # two of one kind at once may be one
    end
    server.close # when it has gone
    assert_predicate $CHILD_STATUS, :success?
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun
  end
end
