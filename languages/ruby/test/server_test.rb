# frozen_string_literal: true

require_relative 'servers'

# The start of a server, and the reasons to stop.
class ServerTest < Minitest::Test
  include Servers

  def test_a_signal_handler_may_request_a_stop
    server = server().tap(&:start)
    original = trap(:USR1) { server.request_stop }
    Process.kill(:USR1, Process.pid)
    assert_equal :asked, server.wait
  ensure
    trap(:USR1, original)
  end

  def test_reports_a_takeover
    old = server(allow_takeover: true)
    serving = Thread.new { old.run { server(takeover: true).start } }
    assert_equal :taken_over, serving.value
    assert_nil Samehost.diagnose(@path)
  end

  def test_a_removal_is_an_error_or_a_warning
    error = assert_raises(Samehost::RemovedError) { server(on_removed: :stop).run { File.unlink(@path) } }
    assert_empty @warnings.string
    server.start
    File.unlink(@path)
    sleep(0.01) until @warnings.string.include?(error.message)
  end

  def test_starts_only_once
    server = server().tap(&:start)
    assert_includes assert_raises(Samehost::Error) { server.run }.message, @path
    assert_nil Samehost.diagnose(@path)
  end

  def test_a_failed_start_leaves_only_the_lock_file
    File.write(@path, '')
    assert_raises(Samehost::NotASocketError) { server.run }
    assert_equal %w[größer.sock größer.sock.lock], Dir.children(@folder).sort
  end

  def test_refuses_invalid_options
    [{ grace: -1 }, { on_removed: :panic }, { mode: 0o1000 }, { group: -1 }, { group: 'no-such-group' },
     { bogus: true }].each { |options| assert_raises(ArgumentError) { server(**options) } }
    assert_empty Dir.children(@folder)
  end
end
