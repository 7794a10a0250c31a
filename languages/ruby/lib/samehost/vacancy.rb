# frozen_string_literal: true

module Samehost
  # Checks that a path is free for a new server. Only a stale socket may be replaced.
  class Vacancy
    def initialize(folder, path)
      @folder = folder
      @path = path
      @name = File.basename(path)
    end

    # Whether a server listens on the path.
    #
    # @raise [NotASocketError] the path is not a socket
    # @raise [InUseError] this process may not connect, so it cannot check for a server
    def taken?
      @found = identity
      case state
      when :live
        return true
      when :not_a_socket
        fail_with(NotASocketError, 'it exists and is not a socket; move it or use another path')
      when :forbidden
        fail_with(InUseError, 'cannot check for a running server: permission denied: ' \
                              "#{PathState.describe_permissions(@path)}; remove the socket if no server uses it")
      end
      false
    end

    # Checks the path again: only the file that #taken? found may be replaced.
    def refuse_new_file
      return if [nil, @found].include?(identity)

      fail_with(InUseError, 'another file appeared there during the start; move it or use another path')
    end

    # Checks the path of the socket for successors.
    def refuse_foreign_control(control_path)
      return if File.lstat(@folder.at(File.basename(control_path))).socket?

      fail_with(NotASocketError, "#{control_path} exists and is not a socket; move it or use another path")
    rescue Errno::ENOENT
      nil
    end

    private

    def state
      PathState.of(@folder.connectable(@name))
    rescue SystemCallError => e
      fail_with(Error, "cannot check for a running server: #{Error.reason(e)}; " \
                       'check its folder, and the limit of open files')
    end

    def fail_with(error_class, reason)
      raise error_class, "cannot listen on #{@path}: #{reason}"
    end

    # Identifies the file at the path; nil if none exists. It includes the time, because a new file may get the inode
    # number of a removed file.
    def identity
      found = File.lstat(@folder.at(@name))
      [found.dev, found.ino, found.mtime]
    rescue SystemCallError
      nil
    end
  end
end
