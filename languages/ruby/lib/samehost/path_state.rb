# frozen_string_literal: true

require 'etc'
require 'socket'

module Samehost
  # The state of the path of a socket, for clients and servers.
  module PathState
    module_function

    # Checks a path and dials it if it is a socket. Never waits and never changes anything.
    #
    # A socket that is bound but does not listen yet is reported as stale, because connect(2) returns ECONNREFUSED for
    # both. So this cannot prevent two servers on one path; the lock does.
    #
    # @return [:absent, :not_a_socket, :stale, :forbidden, :live]
    # @raise [SystemCallError] the system does not report the state
    def of(path)
      File.stat(path).socket? ? dial(path) : :not_a_socket
    rescue Errno::ENOENT, Errno::ENOTDIR
      :absent
    rescue Errno::EACCES
      :forbidden
    end

    # Describes the owner and mode of a path, and the user and groups of this process. If the path is not visible, it
    # describes the nearest folder above that is.
    def describe_permissions(path)
      found = File.stat(path)
      format('%<path>s belongs to uid %<uid>d and gid %<gid>d with mode %<mode>04o, ' \
             'and this process is uid %<euid>d with gids %<gids>s',
             path:, uid: found.uid, gid: found.gid, mode: found.mode & 0o7777,
             euid: Process.euid, gids: [Process.egid, *Process.groups].uniq.sort.join(' '))
    rescue SystemCallError
      path == '/' ? 'no folder above it is visible' : describe_permissions(File.dirname(path))
    end

    def dial(path)
      Socket.open(:UNIX, :STREAM) { |socket| socket.connect_nonblock(Socket.sockaddr_un(path)) }
      :live
    rescue Errno::ECONNREFUSED
      :stale
    rescue Errno::EPERM
      :forbidden
    rescue IO::WaitWritable # EAGAIN, because the backlog of the listener is full
      :live
    end
    private_class_method :dial
  end
end
