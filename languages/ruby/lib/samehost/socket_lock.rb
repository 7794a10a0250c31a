# frozen_string_literal: true

require 'fcntl'
require 'json'
require 'socket'

module Samehost
  # The exclusive lock on the file beside a socket that keeps two servers off one path; it ends with the process.
  #
  # Two locks are taken, because neither kind stops the other: flock(2), which most languages use, and a record lock,
  # which Java's FileChannel.tryLock uses.
  #
  # The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
  # locks a new one.
  #
  # Whoever may open the file may lock it, so it must be this server's alone: a regular file with one name and mode
  # 0600, of this user, of root or of the folder's owner.
  class SocketLock
    # fcntl(2) on Linux: a record lock that belongs to the open file. One that belongs to the process, F_SETLK, would be
    # lost as soon as the process closed any other descriptor of the file. Ruby has no constant for it.
    F_OFD_SETLK = 37

    # struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length (0 is "to the end"), pid. `s` and `q` of
    # Array#pack have fixed sizes and no padding of their own.
    WHOLE_FILE = [Fcntl::F_WRLCK, IO::SEEK_SET, 0, 0, 0].pack('ssx4qqix4').freeze

    # How often to try: the system tells no one when a lock is released but whoever waits without a deadline.
    PACE_SECONDS = 0.005

    MODE = 0o600

    private_constant :F_OFD_SETLK, :WHOLE_FILE, :PACE_SECONDS, :MODE

    # Takes the lock, and tries for so many seconds while someone else holds it.
    def self.within(seconds, ...)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
      begin
        new(...)
      rescue InUseError
        raise if Process.clock_gettime(Process::CLOCK_MONOTONIC) >= deadline

        sleep(PACE_SECONDS)
        retry
      end
    end

    # Takes the lock; nil where another process holds it, or no descriptor is left.
    def self.try(...)
      new(...)
    rescue Error
      nil
    end

    # @param folder [Folder] that of the socket
    # @param owner [String] the implementation, for the file
    def initialize(folder, socket_path, owner)
      @folder = folder
      @socket_path = socket_path
      @path = "#{socket_path}.lock"
      @file = open_file
      refuse_what_others_may_lock
      take
      write(owner)
    rescue Error
      release
      raise
    end

    # Lets the next server have the path; doing it twice is harmless.
    def release
      @file&.close
    end

    private

    def open_file
      # NONBLOCK: someone may have put a FIFO there.
      flags = File::RDWR | File::CREAT | File::NOFOLLOW | File::NONBLOCK
      File.open(@folder.at(File.basename(@path)), flags, MODE)
    rescue Errno::ELOOP, Errno::EISDIR, Errno::ENXIO # a link, a folder, a socket
      refuse_irregular
    rescue SystemCallError => e
      raise Error, "cannot open the lock file #{@path}: #{Error.reason(e)}; " \
                   "#{PathState.describe_permissions(@path)}; let this process write there"
    end

    def refuse_what_others_may_lock
      found = @file.stat
      refuse_irregular unless found.file? && found.nlink == 1
      unless [Process.euid, 0, @folder.stat.uid].include?(found.uid)
        raise LockFileError, "the lock file #{@path} belongs to uid #{found.uid}, who could keep this server from " \
                             'starting; remove it, or choose a folder that only this user may write to'
      end
      narrow(found.mode & 0o7777)
    end

    def refuse_irregular
      raise LockFileError, "#{@path} is needed as a lock file and is no regular file with one name; " \
                           'remove it, or choose another name for the socket'
    end

    # Whatever the mode of an old file and the umask are.
    def narrow(mode)
      @file.chmod(MODE) unless mode == MODE
    rescue SystemCallError
      raise LockFileError, "the lock file #{@path} has mode #{format('%04o', mode)}, and others could hold it; " \
                           "run chmod 600 #{@path}"
    end

    def take
      refuse_locked unless @file.flock(File::LOCK_EX | File::LOCK_NB)
      @file.fcntl(F_OFD_SETLK, WHOLE_FILE.dup)
    rescue Errno::EAGAIN, Errno::EACCES # POSIX lets a record lock say either
      refuse_locked
    rescue SystemCallError => e
      raise Error, "cannot lock #{@path}: #{Error.reason(e)}; choose a folder on a file system that has locks"
    end

    def refuse_locked
      raise InUseError, "#{@socket_path} has a server already: #{owner || 'someone'} holds #{@path}; " \
                        'stop that server or choose another path'
    end

    # What the file says of its owner; nil where it says nothing that a server wrote.
    def owner
      case JSON.parse(@file.pread(4096, 0), symbolize_names: true)
      in { pid:, host:, implementation: } then printable("#{implementation}, process #{pid} on host #{host},")
      else nil
      end
    rescue JSON::ParserError, EOFError
      nil
    end

    # A terminal obeys control characters.
    def printable(text)
      text if text.valid_encoding? && text.match?(/\A[[:print:]]*\z/)
    end

    def write(owner)
      refuse_foreign_content
      @file.truncate(0)
      @file.pwrite("#{JSON.generate(pid: Process.pid, host: Socket.gethostname, implementation: owner)}\n", 0)
    rescue SystemCallError => e
      raise Error, "cannot write the lock file #{@path}: #{Error.reason(e)}; make room on its file system"
    end

    def refuse_foreign_content
      return if @file.size.zero? || owner

      raise LockFileError, "#{@path} is needed as a lock file and holds something else; " \
                           'choose another name for the socket, or move that file away'
    end
  end
end
