# frozen_string_literal: true

require_relative 'listeners'

# What a server finds at its path, and does not replace.
class VacancyTest < Minitest::Test
  include Listeners

  def test_a_live_path_without_a_lock_is_refused
    server = UNIXServer.new(@path)
    error = assert_raises(Samehost::InUseError) { listener.claim }
    assert_includes error.message, "#{@path} has a server already"
  ensure
    server&.close
  end

  def test_a_stale_socket_is_replaced
    UNIXServer.new(@path).close
    publish
    assert_equal :live, Samehost::PathState.of(@path)
  end

  def test_what_is_no_socket_is_refused_and_kept
    assert_refused_and_kept @path, Samehost::NotASocketError, 'exists and is not a socket'
  end

  def test_what_came_to_the_path_meanwhile_is_refused_and_kept
    UNIXServer.new(@path).close
    late = listener
    UNIXServer.open(late.claim) do
      File.unlink(@path)
      UNIXServer.new(@path).close # often with the inode of the first
      assert_includes assert_raises(Samehost::InUseError) { late.publish }.message, "another file at #{@path}"
      late.withdraw
    end
    assert_equal %w[app.sock app.sock.lock], Dir.children(@folder).sort
  end

  def test_a_stale_socket_may_go_meanwhile
    UNIXServer.new(@path).close
    late = listener
    UNIXServer.open(late.claim) do
      File.unlink(@path)
      late.publish
      refute late.lost?
    end
  end

  def test_a_file_where_successors_would_dial_is_refused_and_kept
    assert_refused_and_kept "#{@path}.takeover", Samehost::NotASocketError,
                            "is needed to hand #{@path} over and is not a socket"
  end
end
