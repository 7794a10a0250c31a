# frozen_string_literal: true

require_relative 'listeners'

# Takeovers without gRPC.
class TakeoverTest < Minitest::Test
  include Listeners

  def test_a_successor_takes_over_and_its_predecessor_is_told
    taken_over = Queue.new
    old = publish { taken_over << true }
    refute old.lost?
    new = publish(takeover: true)
    assert taken_over.pop
    refute old.lost?
    old.withdraw
    refute new.lost?
    new.withdraw
    assert_equal %w[app.sock.lock], Dir.children(@folder)
  end

  def test_takes_over_from_a_server_whose_lock_file_was_removed
    taken_over = Queue.new
    publish { taken_over << true }
    File.unlink("#{@path}.lock")
    publish(takeover: true)
    assert taken_over.pop
  end

  def test_does_not_take_over_from_a_server_without_a_takeover_socket
    publish
    File.unlink("#{@path}.takeover")
    error = assert_raises(Samehost::InUseError) { listener(takeover: true).claim }
    assert_includes error.message, "no server listens on #{@path}.takeover"
  end
end
