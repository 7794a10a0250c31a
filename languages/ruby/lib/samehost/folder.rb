# frozen_string_literal: true

module Samehost
  # An open folder. Linux resolves `/proc/self/fd/N/name` from the open descriptor, so that nobody can put another
  # folder in its place between two steps. Where there is no such file system, as on macOS, the paths are ordinary ones.
  class Folder
    # The flag of open(2) that needs no permission to read the folder. Ruby has no constant for it; only Linux has it.
    O_PATH = RUBY_PLATFORM.include?('linux') ? 0o10000000 : 0

    # The bits of a mode that let every user write, and only the owner of a file remove it (unlink(2)).
    WRITABLE_BY_ALL = 0o002
    STICKY = 0o1000

    private_constant :O_PATH, :WRITABLE_BY_ALL, :STICKY

    # Opens the folder of a socket, and refuses one in which every user may replace the socket.
    #
    # @param trusted [Boolean] accept such a folder, and warn
    def self.of_socket(socket_path, trusted:, logger:)
      folder = open_of(socket_path)
      mode = folder.stat.mode & 0o7777
      return folder if mode.nobits?(WRITABLE_BY_ALL) || mode.anybits?(STICKY)

      path = File.dirname(socket_path)
      fault = "every user can replace the socket #{socket_path}: #{path} has mode #{format('%04o', mode)}"
      return folder.tap { logger.warn(fault) } if trusted

      folder.close
      raise UnsafeFolderError, "#{fault}; run chmod o-w #{path}"
    end

    def self.open_of(socket_path)
      path = File.dirname(socket_path)
      new(path)
    rescue Errno::ENOENT, Errno::ENOTDIR
      raise Error, "no folder #{path} for the socket #{socket_path}; create it or mount it"
    rescue SystemCallError => e
      raise Error, "cannot open the folder of #{socket_path}: #{Error.reason(e)}; " \
                   "#{PathState.describe_permissions(path)}"
    end
    private_class_method :open_of

    # Where the folder is found as long as it is open.
    attr_reader :path

    def initialize(path, flags = 0)
      @ordinary_path = path
      @file = File.open(path, O_PATH | File::NONBLOCK | flags) # a FIFO would keep it waiting
      unless @file.stat.directory?
        close
        raise Errno::ENOTDIR
      end
      held = "/proc/self/fd/#{@file.fileno}"
      @path = File.exist?(held) ? held : path
    end

    # A path to what has this name in the folder.
    def at(name)
      raise IOError, "the folder of #{name} is closed" if closed? # its number may be another file's by now

      File.join(@path, name)
    end

    # A path to connect to. A long name leaves no room in a socket's address for the folder's descriptor.
    def connectable(name)
      [at(name), File.join(@ordinary_path, name)].find { |path| path.bytesize <= SocketAddress::MAX_PATH_BYTES }
    end

    # The names of what is in the folder; none where this process may not read it.
    def names
      Dir.children(@path)
    rescue SystemCallError
      []
    end

    # The owner and the mode, among others.
    def stat
      @file.stat
    end

    # Doing it twice is harmless.
    def close
      @file.close
    end

    def closed?
      @file.closed?
    end
  end
end
