# frozen_string_literal: true

require 'etc'
require 'socket'

module Samehost
  # What is at the path of a socket, found out by looking and dialling: both ends ask, each for its own errors.
  module PathState
    module_function

    # Looks at the path and, where it is a socket, dials it; never waits, never changes anything.
    #
    # A socket that is bound but does not listen yet looks stale (connect(2) gives ECONNREFUSED for both),
    # which is why servers are kept apart by a lock and not by this.
    #
    # @param name [String] another path of it, for the error
    # @return [:absent, :not_a_socket, :stale, :forbidden, :live]
    def of(path, name: path)
      File.stat(path).socket? ? dial(path) : :not_a_socket
    rescue Errno::ENOENT, Errno::ENOTDIR
      :absent
    rescue Errno::EACCES
      :forbidden
    rescue SystemCallError => e
      raise Error, "cannot look at #{name}: #{Error.reason(e)}; check the folder it is in"
    end

    # Whose the path is (or, where it can't be seen, the folder above), with which mode, and who asks.
    def describe_permissions(path)
      found = File.stat(path)
      format('%<path>s belongs to uid %<uid>d and gid %<gid>d with mode %<mode>04o, ' \
             'and this process is uid %<euid>d with gids %<gids>s',
             path:, uid: found.uid, gid: found.gid, mode: found.mode & 0o7777,
             euid: Process.euid, gids: [Process.egid, *Process.groups].uniq.sort.join(' '))
    rescue SystemCallError
      path == '/' ? 'nothing above it can be seen' : describe_permissions(File.dirname(path))
    end

    def dial(path)
      Socket.open(:UNIX, :STREAM) { |socket| socket.connect_nonblock(Socket.sockaddr_un(path)) }
      :live
    rescue Errno::ECONNREFUSED
      :stale
    rescue Errno::EPERM
      :forbidden
    rescue IO::WaitWritable # EAGAIN: its backlog is full, so someone listens
      :live
    end
    private_class_method :dial
  end
end
