# frozen_string_literal: true

require_relative 'listeners'

# The life of a socket's file, without gRPC: a UNIXServer is bound where the server would be.
class ListenerTest < Minitest::Test
  include Listeners

  def test_a_socket_is_found_with_its_mode_and_nothing_else_beside_it
    publish(mode: 0o600)
    assert_equal 0o600, File.stat(@path).mode & 0o777
    assert_equal %w[app.sock app.sock.lock app.sock.takeover], Dir.children(@folder).sort
  end

  def test_a_private_folder_lets_nobody_else_in
    private_path = listener.claim
    assert_equal 0o700, File.stat(File.dirname(private_path)).mode & 0o777
  end

  def test_withdrawing_leaves_the_lock_file_and_lets_a_successor_in
    publish.withdraw
    assert_equal %w[app.sock.lock], Dir.children(@folder)
    publish
  end

  def test_a_locked_path_is_refused_and_its_owner_named
    publish
    error = assert_raises(Samehost::InUseError) { listener.claim }
    assert_includes error.message, "#{@path} has a server already: test 1.0, process #{Process.pid}"
    assert File.socket?(@path)
  end

  def test_a_lock_file_with_other_content_is_refused_and_kept
    assert_refused_and_kept "#{@path}.lock", Samehost::LockFileError,
                            'is needed as a lock file and holds something else'
  end

  def test_a_successor_s_socket_is_not_removed
    old = publish
    File.unlink(@path)
    successor = UNIXServer.new(@path)
    old.withdraw
    assert File.socket?(@path)
  ensure
    successor&.close
  end

  def test_what_a_killed_server_left_in_private_is_cleared_away
    first = listener
    UNIXServer.new(first.claim).close
    first.instance_variable_get(:@lock).release # as the system does when a process dies
    publish
    assert_equal %w[app.sock app.sock.lock app.sock.takeover], Dir.children(@folder).sort
  end

  def test_a_predecessor_that_unlinks_what_it_bound_does_not_meet_its_successor
    predecessor = listener
    bound = predecessor.claim
    predecessor.withdraw
    refute_equal bound, listener.claim
  end

  def test_a_file_that_was_removed_or_replaced_is_lost
    removed = publish
    File.unlink(@path)
    assert removed.lost?
    UNIXServer.new(@path).close
    assert removed.lost?
    removed.withdraw
    refute removed.lost?
  end

  def test_the_longest_path_is_served
    @path = "#{@folder}/".ljust(Samehost::SocketAddress::MAX_PATH_BYTES, 'x')
    publish
    assert File.socket?(@path)
  end

  # Below /proc/self/fd/N, such a name is too long for the address of a socket.
  def test_a_long_name_in_a_short_folder_is_served_and_handed_over
    in_short_folder do |folder|
      @path = "#{folder}/".ljust(Samehost::SocketAddress::MAX_PATH_BYTES - '.takeover'.size, 'x')
      UNIXServer.new(@path).close
      publish
      new = publish(takeover: true)
      assert_equal :live, Samehost::PathState.of(@path)
      new.withdraw
    end
  end

  private

  def in_short_folder
    Dir.mkdir(folder = "/tmp/#{SecureRandom.hex(2)}")
    yield folder
  ensure
    FileUtils.remove_entry(folder)
  end
end
