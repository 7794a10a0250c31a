# frozen_string_literal: true

require 'socket'
require 'samehost/errors'
require 'samehost/path_state'
require 'samehost/private_folder'
require 'samehost/public_name'
require 'samehost/socket_address'
require 'samehost/socket_lock'
require 'samehost/takeover'

module Samehost
  # One server's hold on a path: #claim, bind what it returns, start, #publish, serve, #withdraw.
  #
  # The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
  # there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
  # never one with a wider mode. With grpc as it comes, a second server takes a live path over without an error, and
  # whichever stops first removes the other's file (https://github.com/grpc/grpc/issues/17122).
  class Listener
    # How long to try for a lock that was just released: a third server may have it while it finds the path live.
    RELEASED_LOCK_SECONDS = 2

    private_constant :RELEASED_LOCK_SECONDS

    # @param gid [Integer, nil] the group of the socket; nil is the process's own
    # @param owner [String] what the lock file says of this server, such as "grpc-ruby 1.51.1"
    def initialize(address, owner:, mode: 0o660, gid: nil)
      @path = address.path
      @owner = owner
      @mode = mode
      @gid = gid
      @private = PrivateFolder.new(@path)
      @name = PublicName.new(@path)
      # nil where there is no room for it: such a server can't be taken over.
      @control_path = Takeover.control_path(@path)
      @control_name = PublicName.new(@control_path) if @control_path
      # Held while the lock changes hands, which it does in a thread of its own.
      @changing = Mutex.new
    end

    # Locks the path, and returns the address to bind.
    #
    # @param takeover [Boolean] have a server that has the path hand it over
    # @return [SocketAddress]
    def claim(takeover: false)
      @lock = take_lock(takeover)
      refuse_what_is_not_stale
      refuse_foreign_control
      @private.make
      SocketAddress.new(@private.socket)
    end

    # Gives the bound socket its group and mode, and renames it onto the path; from now on it is found.
    #
    # @yield in another thread, when a successor has taken the path over
    def publish(&handed_over)
      File.chown(nil, @gid, @private.socket) if @gid
      File.chmod(@mode, @private.socket)
      # That for successors first: a server that fails or dies in between has taken no path away.
      publish_control if @control_path
      @name.give(@private.socket)
      @private.clear
      # Only now: a predecessor that goes leaves alone what is not its own.
      @predecessor&.tell_published
      @successors = Takeover::Successors.new(@control, self, &handed_over) if @control
    rescue SystemCallError => e
      raise Error, "cannot publish #{@path} with mode #{format('%04o', @mode)} and group #{@gid || 'unchanged'}: " \
                   "#{Samehost.reason(e)}; #{PathState.describe_permissions(@path)}; " \
                   'only a group that this process is in can be given'
    end

    # Removes the path if it is still this server's own, and releases the lock; doing it twice is harmless.
    def withdraw
      @changing.synchronize do
        next if @withdrawn

        @withdrawn = true
        (@successors || @control)&.close
        remove_names if @lock
        @lock&.release
        @predecessor&.close
      end
    end

    # Whether someone has removed the file, or has put another in its place, without taking it over.
    def lost?
      @changing.synchronize { !@lock.nil? && !@withdrawn && !@name.own? }
    end

    # Lets a successor have the lock, as Takeover::Successors does; there is none if it could not be taken again.
    #
    # @return [Boolean] false where this server goes already
    def release
      @changing.synchronize do
        @lock&.release unless @withdrawn
        @lock = nil
        !@withdrawn
      end
    end

    # Takes the lock again when a successor has given up. Even without it, others find the path live.
    def retake
      @changing.synchronize do
        @lock = SocketLock.within(RELEASED_LOCK_SECONDS, @path, @owner) unless @withdrawn
      end
    rescue Error => e
      warn "a takeover of #{@path} was given up, and its lock can't be had again: #{e.message}"
    end

    private

    def take_lock(takeover)
      SocketLock.new(@path, @owner)
    rescue InUseError
      raise unless takeover

      @predecessor = Takeover::Predecessor.new(@path)
      SocketLock.within(RELEASED_LOCK_SECONDS, @path, @owner)
    end

    def refuse_what_is_not_stale
      case PathState.of(@path)
      when :not_a_socket
        raise Error, "#{@path} exists and is not a socket; move it away or choose another path"
      when :live
        return if @predecessor

        raise Error, "#{@path} has a server already: someone answers there without holding #{@path}.lock; " \
                     'stop that server or choose another path'
      when :forbidden
        raise Error, "#{@path} may have a server: this process is not allowed to ask; " \
                     "#{PathState.describe_permissions(@path)}; remove the file if nobody serves there"
      end
    end

    def refuse_foreign_control
      return if !@control_path || File.lstat(@control_path).socket?

      raise Error, "#{@control_path} is needed to hand #{@path} over and is not a socket; " \
                   'move it away or choose another path'
    rescue Errno::ENOENT
      nil
    end

    # A socket that only this server's own user may dial.
    def publish_control
      @control = UNIXServer.new(@private.control)
      File.chmod(0o600, @private.control)
      @control_name.give(@private.control)
    end

    def remove_names
      @name.remove
      @control_name&.remove
      @private.clear
    end
  end
end
