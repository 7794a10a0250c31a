# frozen_string_literal: true

require_relative 'paths'

# Which lock files are taken. How two servers are kept apart by one: ListenerTest.
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

  def test_the_file_has_mode_0600_whatever_its_mode_and_the_umask_were
    umask = File.umask(0o777)
    take.release
    assert_equal 0o600, File.stat(@file).mode & 0o7777
    File.chmod(0o666, @file)
    take.release
    assert_equal 0o600, File.stat(@file).mode & 0o7777
  ensure
    File.umask(umask)
  end

  def test_what_is_no_regular_file_with_one_name_is_refused
    File.write("#{@path}/other", '')
    [-> { File.symlink("#{@path}/other", @file) }, -> { File.link("#{@path}/other", @file) },
     -> { File.mkfifo(@file) }, -> { Dir.mkdir(@file) }, -> { UNIXServer.new(@file).close }].each do |make|
      make.call
      error = assert_raises(Samehost::LockFileError) { take }
      assert_includes error.message, "#{@file} is needed as a lock file and is no regular file with one name"
      FileUtils.remove_entry(@file)
    end
  end

  def test_the_file_of_another_user_is_refused
    skip 'only root can make one' unless Process.euid.zero?
    File.write(@file, '')
    File.chown(65_534, nil, @file)
    assert_includes assert_raises(Samehost::LockFileError) { take }.message, "the lock file #{@file}"
    assert_equal 65_534, File.stat(@file).uid
  end

  def test_an_owner_that_a_terminal_would_obey_is_not_shown
    lock = take("\e[2Jgrpc")
    assert_includes assert_raises(Samehost::InUseError) { take }.message, "someone holds #{@file}"
  ensure
    lock&.release
  end

  private

  def take(owner = 'test 1.0')
    Samehost::SocketLock.new(@folder, "#{@path}/app.sock", owner)
  end
end
