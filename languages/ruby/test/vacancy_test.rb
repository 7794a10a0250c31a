# frozen_string_literal: true

require_relative 'listeners'

# Files at the path before the start of a server.
class VacancyTest < Minitest::Test
  include Listeners

  def test_refuses_a_live_path_without_a_lock
    server = UNIXServer.new(@path)
    error = assert_raises(Samehost::InUseError) { listener.claim }
    assert_includes error.message, @path
  ensure
    server&.close
  end

  def test_replaces_a_stale_socket
    UNIXServer.new(@path).close
    publish
    assert_equal :live, Samehost::PathState.of(@path)
  end

  def test_refuses_and_keeps_a_file_that_is_not_a_socket
    assert_refused_and_kept @path, Samehost::NotASocketError
  end

  def test_refuses_and_keeps_a_file_that_appeared_during_the_start
    UNIXServer.new(@path).close
    late = listener
    UNIXServer.open(late.claim) do
      File.unlink(@path)
      UNIXServer.new(@path).close # often gets the inode number of the first
      assert_includes assert_raises(Samehost::InUseError) { late.publish }.message, @path
      late.withdraw
    end
    assert_equal %w[app.sock app.sock.lock], Dir.children(@folder).sort
  end

  def test_a_stale_socket_may_be_removed_during_the_start
    UNIXServer.new(@path).close
    late = listener
    UNIXServer.open(late.claim) do
      File.unlink(@path)
      late.publish
      refute late.lost?
    end
  end

  def test_refuses_and_keeps_a_file_at_the_path_for_successors
    assert_refused_and_kept "#{@path}.takeover", Samehost::NotASocketError
  end
end
