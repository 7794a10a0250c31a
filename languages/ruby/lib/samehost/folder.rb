# frozen_string_literal: true

module Samehost
  # An open folder. Linux resolves `/proc/self/fd/N/name` from the open descriptor, so nobody can replace the folder
  # between two steps. Without /proc, as on macOS, it uses ordinary paths.
  class Folder
    # Flag of open(2): needs no permission to read the folder. Ruby has no constant for it, and only Linux supports it.
    O_PATH = RUBY_PLATFORM.include?('linux') ? 0o10000000 : 0

    # Mode bits: every user may write; only the owner of a file may remove it (unlink(2)).
    WRITABLE_BY_ALL = 0o002
    STICKY = 0o1000

    private_constant :O_PATH, :WRITABLE_BY_ALL, :STICKY

    # Opens the folder of a socket. Refuses a folder in which every user can replace the socket.
    #
    # @param trusted [Boolean] allow such a folder and log a warning
    def self.of_socket(socket_path, trusted:, logger:)
      folder = open_of(socket_path)
      mode = folder.stat.mode & 0o7777
      return folder if mode.nobits?(WRITABLE_BY_ALL) || mode.anybits?(STICKY)

      path = File.dirname(socket_path)
      fault = "#{socket_path}: every user can replace the socket, because #{path} has mode #{format('%04o', mode)}"
      return folder.tap { logger.warn(fault) } if trusted

      folder.close
      raise UnsafeFolderError, "cannot listen on #{fault}; run chmod o-w #{path}"
    end

    def self.open_of(socket_path)
      path = File.dirname(socket_path)
      new(path)
    rescue Errno::ENOENT, Errno::ENOTDIR
      raise Error, "cannot listen on #{socket_path}: the folder #{path} does not exist; create it or mount it"
    rescue SystemCallError => e
      raise Error, "cannot listen on #{socket_path}: cannot open its folder: #{Error.reason(e)}: " \
                   "#{PathState.describe_permissions(path)}; give this process search permission"
    end
    private_class_method :open_of

    # The path of the folder, valid while it is open.
    attr_reader :path

    def initialize(path, flags = 0)
      @ordinary_path = path
      @file = File.open(path, O_PATH | File::NONBLOCK | flags) # without NONBLOCK, opening a FIFO would block
      unless @file.stat.directory?
        close
        raise Errno::ENOTDIR
      end
      held = "/proc/self/fd/#{@file.fileno}"
      @path = File.exist?(held) ? held : path
    end

    # The path of a name in the folder.
    def at(name)
      raise IOError, "the folder of #{name} is closed" if closed? # another file may have its descriptor number

      File.join(@path, name)
    end

    # A path to connect to. The path through the descriptor can be too long for the address of a socket.
    def connectable(name)
      [at(name), File.join(@ordinary_path, name)].find { |path| path.bytesize <= SocketAddress::MAX_PATH_BYTES }
    end

    # The names of the files in the folder; empty if this process may not read the folder.
    def names
      Dir.children(@path)
    rescue SystemCallError
      []
    end

    def stat
      @file.stat
    end

    # Can be called again.
    def close
      @file.close
    end

    def closed?
      @file.closed?
    end
  end
end
