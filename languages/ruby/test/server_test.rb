# frozen_string_literal: true

require 'minitest/autorun'
require 'English'
require 'rbconfig'
require 'socket'
require 'tmpdir'
require 'samehost/dial'
require 'samehost/socket_address'

# How a server stops, in a process of its own.
class ServerTest < Minitest::Test
  # What the process runs, with a path, the age of connections in milliseconds and the grace in seconds.
  PROGRAM = <<~RUBY
    require 'samehost/server'
    address = Samehost::SocketAddress.new(ARGV[0])
    args = { 'grpc.max_connection_age_ms' => Integer(ARGV[1]) }
    server = Samehost::Server.new(address, [], grace: Float(ARGV[2]), takeover: ARGV[3] == 'takeover', args: args)
    server.run
  RUBY

  def setup
    @folder = Dir.mktmpdir
    @address = Samehost::SocketAddress.new("#{@folder}/größer.sock")
  end

  def teardown
    FileUtils.remove_entry(@folder)
  end

  def test_it_stops_at_once_where_nobody_is_connected_whatever_the_age
    assert_operator stop_after(age: 60_000), :<, 10 # it takes 0.1 s
  end

  def test_it_stops_at_once_when_its_clients_have_gone
    assert_operator stop_after(age: 60_000) { connect.close }, :<, 10
  end

  def test_it_serves_an_idle_client_until_its_connection_is_renewed
    channel = nil
    assert_includes 0.5..10, stop_after(age: 1000) { channel = connect } # the connection lives for 0.9 s at least
  ensure
    channel&.close
  end

  def test_it_waits_for_a_client_that_never_leaves_no_longer_than_it_must
    silent = nil
    # grpc waits for its handshake as for a call.
    seconds = stop_after(age: 500, grace: 0.1) { silent = UNIXSocket.new(@address.path) }
    assert_includes 0.5..10, seconds # 1.3 ages, and the grace
  ensure
    silent&.close
  end

  def test_it_waits_for_no_longer_age_than_the_usual_one
    channel = nil
    assert_includes 1..10, stop_after(age: 60_000, grace: 0.1) { channel = connect }
  ensure
    channel&.close
  end

  def test_a_signal_after_a_takeover_is_the_first
    old = start(age: 60_000, grace: 0.1)
    channel = connect # which keeps the server from stopping for 1.3 s
    new = start(age: 60_000, grace: 0.1, takeover: true)
    begun = now
    Process.kill(:TERM, old.pid)
    old.close
    assert_predicate $CHILD_STATUS, :success?
    assert_includes 0.3..10, now - begun
  ensure
    channel&.close
    [old, new].compact.reject(&:closed?).each { |server| Process.kill(:KILL, server.pid) }
  end

  private

  # Starts a server, does something when calls succeed, and returns how many seconds the stop takes after it.
  def stop_after(age:, grace: 5)
    server = start(age:, grace:)
    yield if block_given?
    begun = now
    Process.kill(:TERM, server.pid)
    server.close # when it has gone
    assert_predicate $CHILD_STATUS, :success?
    now - begun
  ensure
    Process.kill(:KILL, server.pid) unless server.closed?
  end

  # Starts a server, and returns when it is ready.
  def start(age:, grace:, takeover: false)
    IO.popen([RbConfig.ruby, *$LOAD_PATH.map { |folder| "-I#{folder}" }, '-e', PROGRAM, @address.path, age.to_s,
              grace.to_s, *('takeover' if takeover)]).tap(&:gets)
  end

  def connect
    Samehost::Dial.channel(@address).tap { |channel| Samehost::Dial.wait(channel, @address, 10) }
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
