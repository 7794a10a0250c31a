# frozen_string_literal: true

module Samehost
  # What is at a path before its new server has it, who replaces nothing but a stale socket.
  class Vacancy
    def initialize(folder, path)
      @folder = folder
      @path = path
      @name = File.basename(path)
    end

    # Whether someone serves at the path; it refuses what is no socket, and what it may not ask.
    def taken?
      @found = look
      case PathState.of(@folder.connectable(@name), name: @path)
      when :live
        return true
      when :not_a_socket
        raise NotASocketError, "#{@path} exists and is not a socket; move it away or choose another path"
      when :forbidden
        raise InUseError, "#{@path} may have a server: this process is not allowed to ask; " \
                          "#{PathState.describe_permissions(@path)}; remove the file if nobody serves there"
      end
      false
    end

    # Looks again: only what the first look has found may be replaced.
    def refuse_what_came_meanwhile
      return if [nil, @found].include?(look)

      raise InUseError, "someone put another file at #{@path} while this server started; it is kept: " \
                        'move it away or choose another path'
    end

    # Where the server will listen for its successor.
    def refuse_foreign_control(control_path)
      return if File.lstat(@folder.at(File.basename(control_path))).socket?

      raise NotASocketError, "#{control_path} is needed to hand #{@path} over and is not a socket; " \
                             'move it away or choose another path'
    rescue Errno::ENOENT
      nil
    end

    private

    # Which file is at the path; nil where none is. It is known by its time, too, as inodes are used again.
    def look
      found = File.lstat(@folder.at(@name))
      [found.dev, found.ino, found.mtime]
    rescue SystemCallError
      nil
    end
  end
end
