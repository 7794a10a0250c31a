# frozen_string_literal: true

require_relative 'listeners'

# How a path goes from one server to the next, without gRPC.
class TakeoverTest < Minitest::Test
  include Listeners

  def test_a_successor_is_handed_the_path_and_its_predecessor_told
    handed_over = Queue.new
    old = publish { handed_over << true }
    refute old.lost?
    new = publish(takeover: true)
    assert handed_over.pop
    refute old.lost?
    old.withdraw
    refute new.lost?
    new.withdraw
    assert_equal %w[app.sock.lock], Dir.children(@folder)
  end

  def test_a_server_whose_lock_file_was_removed_is_taken_over
    handed_over = Queue.new
    publish { handed_over << true }
    File.unlink("#{@path}.lock")
    publish(takeover: true)
    assert handed_over.pop
  end

  def test_a_server_that_can_not_be_asked_is_not_taken_over
    publish
    File.unlink("#{@path}.takeover")
    error = assert_raises(Samehost::InUseError) { listener(takeover: true).claim }
    assert_includes error.message, "#{@path} can't be taken over: nobody answers at #{@path}.takeover: No such file"
  end
end
