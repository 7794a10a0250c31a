# frozen_string_literal: true

require 'fcntl'
require 'json'
require 'socket'
require 'samehost/errors'
require 'samehost/path_state'

module Samehost
  # The exclusive lock on the file beside a socket that keeps two servers off one path; it ends with the process.
  #
  # Two locks are taken, because neither kind stops the other: flock(2), which most languages use, and a record lock,
  # which Java's FileChannel.tryLock uses.
  #
  # The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
  # locks a new one.
  class SocketLock
    # fcntl(2) on Linux: a record lock that belongs to the open file. One that belongs to the process, F_SETLK, would be
    # lost as soon as the process closed any other descriptor of the file. Ruby has no constant for it.
    F_OFD_SETLK = 37

    # struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length (0 is "to the end"), pid. `s` and `q` of
    # Array#pack have fixed sizes and no padding of their own.
    WHOLE_FILE = [Fcntl::F_WRLCK, IO::SEEK_SET, 0, 0, 0].pack('ssx4qqix4').freeze

    # How often to try: the system tells no one when a lock is released but whoever waits without a deadline.
    PACE_SECONDS = 0.005

    private_constant :F_OFD_SETLK, :WHOLE_FILE, :PACE_SECONDS

    # Takes the lock, and tries for so many seconds while someone else holds it.
    def self.within(seconds, socket_path, owner)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
      begin
        new(socket_path, owner)
      rescue InUseError
        raise if Process.clock_gettime(Process::CLOCK_MONOTONIC) >= deadline

        sleep(PACE_SECONDS)
        retry
      end
    end

    def initialize(socket_path, owner)
      @socket_path = socket_path
      @path = "#{socket_path}.lock"
      @file = open_file
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

    # 0600: whoever may open the file may lock it, and clients must not be able to.
    def open_file
      File.open(@path, File::RDWR | File::CREAT | File::NOFOLLOW, 0o600)
    rescue Errno::ENOENT
      raise Error, "no folder #{File.dirname(@path)} for the socket #{@socket_path}; create it or mount it"
    rescue SystemCallError => e
      raise Error, "cannot open the lock file #{@path}: #{Samehost.reason(e)}; " \
                   "#{PathState.describe_permissions(@path)}; let this process write there"
    end

    def take
      refuse unless @file.flock(File::LOCK_EX | File::LOCK_NB)
      @file.fcntl(F_OFD_SETLK, WHOLE_FILE.dup)
    rescue Errno::EAGAIN, Errno::EACCES # POSIX lets a record lock say either
      refuse
    rescue SystemCallError => e
      raise Error, "cannot lock #{@path}: #{Samehost.reason(e)}; choose a folder on a file system that has locks"
    end

    def refuse
      raise InUseError, "#{@socket_path} has a server already: #{owner || 'someone'} holds #{@path}; " \
                        'stop that server or choose another path'
    end

    # What the file says of its owner; nil where it says nothing that a server wrote.
    def owner
      case JSON.parse(@file.pread(4096, 0), symbolize_names: true)
      in { pid:, host:, implementation: } then "#{implementation}, process #{pid} on host #{host},"
      else nil
      end
    rescue JSON::ParserError, EOFError
      nil
    end

    def write(owner)
      refuse_foreign_content
      @file.truncate(0)
      @file.pwrite("#{JSON.generate(pid: Process.pid, host: Socket.gethostname, implementation: owner)}\n", 0)
    rescue SystemCallError => e
      raise Error, "cannot write the lock file #{@path}: #{Samehost.reason(e)}; make room on its file system"
    end

    def refuse_foreign_content
      return if @file.size.zero? || owner

      raise Error, "#{@path} is needed as a lock file and holds something else; " \
                   'choose another name for the socket, or move that file away'
    end
  end
end
