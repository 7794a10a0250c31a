# frozen_string_literal: true

require 'logger'

module Samehost
  # The file of a server: call #claim, bind the path that it returns, start the server, #publish, and #withdraw at the
  # end.
  #
  # The socket is bound in a private folder that no other user can enter. It gets its mode and group there, and is
  # renamed to the path when it is ready. So clients never find a socket that does not accept connections yet, or that
  # has a wider mode. With grpc alone, a second server replaces a running one without an error, and the first that stops
  # removes the file of the other (https://github.com/grpc/grpc/issues/17122).
  #
  # All paths are relative to open folders. Another user who may write to the folder can replace files in it, but cannot
  # make the server change or remove the files of others.
  class Listener
    # How long to try to take a lock that was just released. A third server may hold it until it finds that the path is
    # live.
    RELEASED_LOCK_SECONDS = 2

    private_constant :RELEASED_LOCK_SECONDS

    attr_reader :path, :logger

    # See Server.new for the options.
    def initialize(address, mode: 0o660, group: nil, owner: File.basename($PROGRAM_NAME), trust_folder: false,
                   allow_takeover: false, takeover: false, logger: Logger.new($stderr, progname: 'samehost'))
      @path = SocketAddress.new(address).path
      @name = File.basename(@path)
      @permissions = Permissions.new(mode, group)
      @owner = owner
      @trust_folder = trust_folder
      # nil if the name is too long: such a server cannot be taken over.
      @control_path = Takeover.control_path(@path) if allow_takeover || takeover
      @takeover = takeover
      @logger = logger
      # Guards the lock and the names, which another thread changes during a takeover.
      @changing = Mutex.new
    end

    # Locks the path and returns a private path to bind.
    def claim
      @folder = Folder.of_socket(@path, trusted: @trust_folder, logger: @logger)
      @names = PublicNames.new(@folder, @path)
      @vacancy = Vacancy.new(@folder, @path)
      @lock = take_lock
      replace_unlocked_server if @vacancy.taken? && !@predecessor
      @vacancy.refuse_foreign_control(@control_path) if @control_path
      PrivateFolder.sweep(@folder, @path) unless @predecessor # which keeps second names of its sockets in one
      @private = PrivateFolder.create(@folder, @path)
      @bound = @private.new_path
    end

    # Sets the group and mode of the bound socket and renames it to the path. Clients can connect from now on.
    #
    # @yield in another thread, when a successor has taken over the path
    def publish(&taken_over)
      @permissions.apply(@bound, @path)
      give_names
      @private.remove
      # Send this last: the predecessor may then remove or rename the files beside the path.
      @predecessor&.send_published
      @successors = Takeover::Successors.new(@path, @control, self, @logger, &taken_over) if @control
    end

    # Removes the path if it still names the socket of this server, and releases the lock. Can be called again.
    def withdraw
      @changing.synchronize do
        next if @withdrawn

        @withdrawn = true
        (@successors || @control)&.close
        leave_folder if @folder
        @predecessor&.close
      end
    end

    # Whether someone removed the file or put another file in its place. A takeover does not count.
    def lost?
      @changing.synchronize { !@lock.nil? && !@withdrawn && !@names.own?(@name, @path) }
    end

    # Releases the lock for a successor.
    #
    # @return [Boolean] false if this server is already stopping
    def release
      @changing.synchronize do
        next false if @withdrawn

        @names.keep
        @lock.release
        @lock = nil
        true
      end
    end

    # Tries to take the lock again after a successor failed. Other servers find a live path even without the lock.
    #
    # @return [Boolean] whether this server holds the lock, or no longer needs it
    def retake
      @changing.synchronize do
        next true if @withdrawn || @lock

        @lock = SocketLock.try(@folder, @path, @owner)
        @names.restore if @lock
        !@lock.nil?
      end
    end

    private

    def take_lock
      SocketLock.new(@folder, @path, @owner)
    rescue InUseError
      raise unless @takeover

      @predecessor = Takeover::Predecessor.new(@folder, @path)
      SocketLock.within(RELEASED_LOCK_SECONDS, @folder, @path, @owner)
    end

    # Takes over from a running server without a visible lock, for example because someone removed the lock file.
    def replace_unlocked_server
      return @predecessor = Takeover::Predecessor.new(@folder, @path) if @takeover

      raise InUseError, "cannot listen on #{@path}: a server that does not hold #{@path}.lock answers there; " \
                        'stop that server or use another path'
    end

    # Publishes the socket for successors first. If this server fails or dies in between, the predecessor keeps its
    # path.
    def give_names
      @changing.synchronize do
        raise Error, "cannot listen on #{@path}: the server was stopped during the start" if @withdrawn

        give_control_name if @control_path
        @vacancy.refuse_new_file
        @names.give(@name, @bound)
      end
    end

    def give_control_name
      private_path = @private.new_path
      @control = Takeover.listen(private_path, @path)
      @names.give(File.basename(@control_path), private_path)
    end

    def leave_folder
      # A successor that holds the lock may have published its own names.
      @lock ||= SocketLock.try(@folder, @path, @owner) if @names.any?
      @names.remove if @lock
      @names.forget_kept
      @private&.remove
      @folder.close
      @lock&.release
    end
  end
end
