# frozen_string_literal: true

require_relative 'paths'
require 'digest'

# Folders that others may write to, and those that nobody else may enter.
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

  def test_one_that_every_user_may_write_to_is_refused_unless_it_is_trusted
    File.chmod(0o777, @path)
    error = assert_raises(Samehost::UnsafeFolderError) { open_of_socket }
    assert_includes error.message, "every user can replace the socket #{@socket_path}: #{@path} has mode 0777"
    open_of_socket(trusted: true)
    assert_includes @warnings.string, error.message.partition(';').first
  end

  def test_one_with_the_sticky_bit_may_be_written_to_by_every_user
    File.chmod(0o1777, @path)
    open_of_socket
  end

  def test_one_that_is_missing_or_is_a_file_is_named_with_its_socket
    File.write("#{@path}/file", '')
    %w[missing file].each do |name|
      path = "#{@path}/#{name}/app.sock"
      error = assert_raises(Samehost::Error) { open_of_socket(path) }
      assert_includes error.message, "no folder #{@path}/#{name} for the socket #{path}"
    end
  end

  def test_one_that_is_open_stays_the_same_where_someone_puts_another_in_its_place
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

  def test_one_that_is_closed_names_nothing
    @folder.close
    assert_raises(IOError) { @folder.at('app.sock') }
  end

  def test_a_private_one_has_mode_0700_whatever_the_umask_is_and_goes_with_its_sockets
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

  def test_a_private_one_keeps_the_group_of_a_folder_with_the_set_group_id_bit
    File.chmod(0o2755, @path)
    UNIXServer.new(bound = create_private.new_path).close
    assert_equal File.stat(@path).gid, File.stat(bound).gid
    assert_equal 0o2700, File.stat(File.dirname(bound)).mode & 0o7777
  end

  def test_private_ones_that_were_left_are_removed
    UNIXServer.new(create_private.new_path).close
    sweep
    assert_empty Dir.children(@path)
  end

  def test_what_others_may_have_put_there_is_kept
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

  # How the paths of private folders begin, as PROTOCOL.md has it.
  def prefix
    "#{@path}/.#{Digest::SHA256.hexdigest('app.sock')[0, 8]}"
  end

  def sweep
    Samehost::PrivateFolder.sweep(@folder, @socket_path)
  end

  # With a socket that nobody listens on any more, and perhaps a file.
  def make_folder(path, mode, file = nil)
    Dir.mkdir(path)
    UNIXServer.new("#{path}/socket").close
    File.write("#{path}/#{file}", '') if file
    File.chmod(mode, path)
    path
  end
end
