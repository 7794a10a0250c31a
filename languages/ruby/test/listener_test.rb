# frozen_string_literal: true

require_relative 'listeners'

# The life of the file of a socket. A UNIXServer replaces the gRPC server.
class ListenerTest < Minitest::Test
  include Listeners

  def test_publishes_a_socket_with_its_mode_and_leaves_no_other_files
    publish(mode: 0o600)
    assert_equal 0o600, File.stat(@path).mode & 0o777
    assert_equal %w[app.sock app.sock.lock app.sock.takeover], Dir.children(@folder).sort
  end

  def test_binds_in_a_private_folder
    private_path = listener.claim
    assert_equal 0o700, File.stat(File.dirname(private_path)).mode & 0o777
  end

  def test_withdraw_keeps_the_lock_file_and_allows_a_successor
    publish.withdraw
    assert_equal %w[app.sock.lock], Dir.children(@folder)
    publish
  end

  def test_refuses_a_locked_path_and_names_the_owner
    publish
    error = assert_raises(Samehost::InUseError) { listener.claim }
    assert_includes error.message, "#{@path}: test 1.0, process #{Process.pid}"
    assert File.socket?(@path)
  end

  def test_refuses_and_keeps_a_lock_file_with_other_data
    assert_refused_and_kept "#{@path}.lock", Samehost::LockFileError
  end

  def test_keeps_the_socket_of_a_successor
    old = publish
    File.unlink(@path)
    successor = UNIXServer.new(@path)
    old.withdraw
    assert File.socket?(@path)
  ensure
    successor&.close
  end

  def test_removes_the_private_folder_of_a_killed_server
    first = listener
    UNIXServer.new(first.claim).close
    first.instance_variable_get(:@lock).release # the system does this when a process dies
    publish
    assert_equal %w[app.sock app.sock.lock app.sock.takeover], Dir.children(@folder).sort
  end

  def test_a_successor_binds_another_private_path
    predecessor = listener
    bound = predecessor.claim
    predecessor.withdraw
    refute_equal bound, listener.claim
  end

  def test_a_removed_or_replaced_file_is_lost
    removed = publish
    File.unlink(@path)
    assert removed.lost?
    UNIXServer.new(@path).close
    assert removed.lost?
    removed.withdraw
    refute removed.lost?
  end

  def test_serves_the_longest_path
    @path = "#{@folder}/".ljust(Samehost::SocketAddress::MAX_PATH_BYTES, 'x')
    publish
    assert File.socket?(@path)
  end

  # Below /proc/self/fd/N, this name is too long for the address of a socket.
  def test_serves_and_hands_over_a_long_name_in_a_short_folder
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
