# frozen_string_literal: true

require_relative 'paths'

# Valid and invalid lock files. ListenerTest tests two servers on one path.
class SocketLockTest < Minitest::Test
  def setup
    @path = Dir.mktmpdir
    @folder = Samehost::Folder.new(@path)
    @file = "#{@path}/app.sock.lock"
  end

  def teardown
    @folder.close
    FileUtils.remove_entry(@path)
  end

  def test_sets_mode_0600_with_any_umask_and_previous_mode
    umask = File.umask(0o777)
    take.release
    assert_equal 0o600, File.stat(@file).mode & 0o7777
    File.chmod(0o666, @file)
    take.release
    assert_equal 0o600, File.stat(@file).mode & 0o7777
  ensure
    File.umask(umask)
  end

  def test_refuses_anything_but_a_regular_file_with_one_name
    File.write("#{@path}/other", '')
    [-> { File.symlink("#{@path}/other", @file) }, -> { File.link("#{@path}/other", @file) },
     -> { File.mkfifo(@file) }, -> { Dir.mkdir(@file) }, -> { UNIXServer.new(@file).close }].each do |make|
      make.call
      error = assert_raises(Samehost::LockFileError) { take }
      assert_includes error.message, @file
      FileUtils.remove_entry(@file)
    end
  end

  def test_refuses_the_file_of_another_user
    skip 'only root can create one' unless Process.euid.zero?
    File.write(@file, '')
    File.chown(65_534, nil, @file)
    assert_includes assert_raises(Samehost::LockFileError) { take }.message, @file
    assert_equal 65_534, File.stat(@file).uid
  end

  def test_does_not_print_control_characters_of_the_owner
    lock = take("\e[2Jgrpc")
    assert_includes assert_raises(Samehost::InUseError) { take }.message, "another process holds #{@file}"
  ensure
    lock&.release
  end

  private

  def take(owner = 'test 1.0')
    Samehost::SocketLock.new(@folder, "#{@path}/app.sock", owner)
  end
end
