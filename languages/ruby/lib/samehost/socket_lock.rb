# frozen_string_literal: true

require 'fcntl'
require 'json'
require 'socket'

module Samehost
  # An exclusive lock on the file <path>.lock. It prevents two servers on one path. The system releases it when the
  # process dies.
  #
  # It consists of two locks, because neither kind excludes the other. Most languages use flock(2), and Java's
  # FileChannel.tryLock uses a record lock.
  #
  # The file stays when the lock is released. If it were removed, one server could lock the removed file while the next
  # server locks a new one.
  #
  # Every user who can open the file can lock it. So it must be a regular file with one name and mode 0600, and belong
  # to this user, root or the owner of the folder.
  class SocketLock
    # Command of fcntl(2) on Linux for a record lock that belongs to the open file. A lock with F_SETLK belongs to the
    # process, and is lost when the process closes any other descriptor of the file. Ruby has no constant for it.
    F_OFD_SETLK = 37

    # struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length (0 means to the end), pid. `s` and `q` of
    # Array#pack have fixed sizes and no padding.
    WHOLE_FILE = [Fcntl::F_WRLCK, IO::SEEK_SET, 0, 0, 0].pack('ssx4qqix4').freeze

    # The time between two attempts. Waiting for a lock in the system has no timeout.
    PAUSE_SECONDS = 0.005

    MODE = 0o600

    private_constant :F_OFD_SETLK, :WHOLE_FILE, :PAUSE_SECONDS, :MODE

    # Takes the lock. Retries for this many seconds while another process holds it.
    def self.within(seconds, ...)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
      begin
        new(...)
      rescue InUseError
        raise if Process.clock_gettime(Process::CLOCK_MONOTONIC) >= deadline

        sleep(PAUSE_SECONDS)
        retry
      end
    end

    # Takes the lock. Returns nil if another process holds it, or if no descriptor is free.
    def self.try(...)
      new(...)
    rescue Error
      nil
    end

    # @param folder [Folder] the folder of the socket
    # @param owner [String] the name of the server, for the file
    def initialize(folder, socket_path, owner)
      @folder = folder
      @socket_path = socket_path
      @path = "#{socket_path}.lock"
      @file = open_file
      refuse_unsafe
      take
      write(owner)
    rescue Error
      release
      raise
    end

    # Releases the lock. Can be called again.
    def release
      @file&.close
    end

    private

    def open_file
      # Without NONBLOCK, opening a FIFO would block.
      flags = File::RDWR | File::CREAT | File::NOFOLLOW | File::NONBLOCK
      File.open(@folder.at(File.basename(@path)), flags, MODE)
    rescue Errno::ELOOP, Errno::EISDIR, Errno::ENXIO # a link, a folder, a socket
      refuse_irregular
    rescue SystemCallError => e
      fail_with(Error, "cannot open #{@path}: #{Error.reason(e)}: #{PathState.describe_permissions(@path)}; " \
                       'start this server as that user, or use a folder with write permission and space')
    end

    # Refuses a lock file that other users could lock, and sets its mode.
    def refuse_unsafe
      found = @file.stat
      refuse_irregular unless found.file? && found.nlink == 1
      unless [Process.euid, 0, @folder.stat.uid].include?(found.uid)
        fail_with(LockFileError, "#{@path} belongs to uid #{found.uid}, who could block this server; " \
                                 'remove it or use a folder that only this user can write to')
      end
      restrict(found.mode & 0o7777)
    end

    def refuse_irregular
      fail_with(LockFileError, "#{@path} is not a regular file with one name; remove it or use another path")
    end

    # Sets the mode, which depends on the umask or on the creator of the file.
    def restrict(mode)
      @file.chmod(MODE) unless mode == MODE
    rescue SystemCallError => e
      fail_with(LockFileError, "#{@path} has mode #{format('%04o', mode)}, so that other users could lock it: " \
                               "#{Error.reason(e)}; run chmod 600 #{@path}")
    end

    def take
      raise Errno::EAGAIN unless @file.flock(File::LOCK_EX | File::LOCK_NB)

      @file.fcntl(F_OFD_SETLK, WHOLE_FILE.dup)
    rescue Errno::EAGAIN, Errno::EACCES # POSIX allows both for a record lock
      fail_with(InUseError, "#{owner || 'another process'} holds #{@path}; " \
                            'stop that server, replace it with takeover, or use another path')
    rescue SystemCallError => e
      fail_with(Error, "cannot lock #{@path}: #{Error.reason(e)}; use a file system that has locks")
    end

    # The owner in the file, or nil if no server wrote the file.
    def owner
      case JSON.parse(@file.pread(4096, 0), symbolize_names: true)
      in { pid:, host:, implementation: } then printable("#{implementation}, process #{pid} on host #{host},")
      else nil
      end
    rescue JSON::ParserError, EOFError
      nil
    end

    # Returns nil for text with control characters, because a terminal would interpret them.
    def printable(text)
      text if text.valid_encoding? && text.match?(/\A[[:print:]]*\z/)
    end

    def write(owner)
      refuse_foreign_content
      @file.truncate(0)
      @file.pwrite("#{JSON.generate(pid: Process.pid, host: Socket.gethostname, implementation: owner)}\n", 0)
    rescue SystemCallError => e
      fail_with(Error, "cannot write #{@path}: #{Error.reason(e)}; free space on its file system")
    end

    def refuse_foreign_content
      return if @file.size.zero? || owner

      fail_with(LockFileError, "#{@path} holds the data of another program; move it or use another path")
    end

    def fail_with(error_class, reason)
      raise error_class, "cannot listen on #{@socket_path}: #{reason}"
    end
  end
end
