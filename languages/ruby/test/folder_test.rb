# frozen_string_literal: true

require_relative 'paths'
require 'digest'

# Folders that other users may write to, and private folders.
class FolderTest < Minitest::Test
  def setup
    @path = Dir.mktmpdir
    @socket_path = "#{@path}/app.sock"
    @folder = Samehost::Folder.new(@path)
    @warnings = StringIO.new
  end

  def teardown
    @folder.close
    FileUtils.remove_entry(@path)
  end

  def test_refuses_a_folder_that_every_user_may_write_to_unless_trusted
    File.chmod(0o777, @path)
    error = assert_raises(Samehost::UnsafeFolderError) { open_of_socket }
    assert_includes error.message, @socket_path
    open_of_socket(trusted: true)
    assert_includes @warnings.string, "#{@path} has mode 0777"
  end

  def test_accepts_a_shared_folder_with_the_sticky_bit
    File.chmod(0o1777, @path)
    open_of_socket
  end

  def test_names_a_missing_folder_and_the_socket
    File.write("#{@path}/file", '')
    %w[missing file].each do |name|
      path = "#{@path}/#{name}/app.sock"
      error = assert_raises(Samehost::Error) { open_of_socket(path) }
      assert_includes error.message, "#{path}: the folder #{@path}/#{name} "
    end
  end

  def test_an_open_folder_stays_the_same_when_it_is_replaced
    skip 'no /proc/self/fd' unless @folder.path.start_with?('/proc')
    moved = "#{@path}-moved"
    File.rename(@path, moved)
    Dir.mkdir(@path)
    File.write(@folder.at('file'), '')
    assert_empty Dir.children(@path)
    assert_equal %w[file], Dir.children(moved)
  ensure
    FileUtils.rm_rf(moved.to_s)
  end

  def test_a_closed_folder_has_no_paths
    @folder.close
    assert_raises(IOError) { @folder.at('app.sock') }
  end

  def test_a_private_folder_has_mode_0700_with_any_umask_and_is_removed_with_its_sockets
    umask = File.umask(0o777)
    private_folder = create_private
    File.umask(umask)
    assert_match(/\A\.[0-9a-f]{16}\z/, Dir.children(@path).first)
    assert_equal 0o700, private_folder.stat.mode & 0o777
    UNIXServer.new(private_folder.new_path).close
    2.times { private_folder.remove }
    assert_empty Dir.children(@path)
  ensure
    File.umask(umask)
  end

  def test_a_private_folder_inherits_the_group_of_a_set_gid_folder
    File.chmod(0o2755, @path)
    UNIXServer.new(bound = create_private.new_path).close
    assert_equal File.stat(@path).gid, File.stat(bound).gid
    assert_equal 0o2700, File.stat(File.dirname(bound)).mode & 0o7777
  end

  def test_sweep_removes_private_folders_of_killed_servers
    UNIXServer.new(create_private.new_path).close
    sweep
    assert_empty Dir.children(@path)
  end

  def test_sweep_keeps_files_that_other_users_may_have_created
    others = make_folder("#{@path}/others", 0o700)
    File.symlink(others, "#{prefix}00000000")
    open = make_folder("#{prefix}00000001", 0o755)
    filled = make_folder("#{prefix}00000002", 0o700, 'data')
    File.write("#{prefix}00000003", '')
    sweep
    assert_equal 5, Dir.children(@path).size
    assert_equal([%w[socket], %w[socket], %w[data]], [others, open, filled].map { |path| Dir.children(path) })
  end

  private

  def open_of_socket(path = @socket_path, trusted: false)
    Samehost::Folder.of_socket(path, trusted:, logger: Logger.new(@warnings)).close
  end

  def create_private
    Samehost::PrivateFolder.create(@folder, @socket_path)
  end

  # The prefix of private folders, as PROTOCOL.md specifies it.
  def prefix
    "#{@path}/.#{Digest::SHA256.hexdigest('app.sock')[0, 8]}"
  end

  def sweep
    Samehost::PrivateFolder.sweep(@folder, @socket_path)
  end

  # Creates a folder with a stale socket and optionally a file.
  def make_folder(path, mode, file = nil)
    Dir.mkdir(path)
    UNIXServer.new("#{path}/socket").close
    File.write("#{path}/#{file}", '') if file
    File.chmod(mode, path)
    path
  end
end
