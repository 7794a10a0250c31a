# frozen_string_literal: true

require 'logger'

module Samehost
  # One server's hold on a path: #claim, bind what it returns, start, #publish, serve, #withdraw.
  #
  # The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
  # there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
  # never one with a wider mode. With grpc as it comes, a second server takes a live path over without an error, and
  # whichever stops first removes the other's file (https://github.com/grpc/grpc/issues/17122).
  #
  # Everything is named relative to folders that are held open: another user who may write to the folder can replace
  # what is there, and still can't make the server change or remove a file of somebody else.
  class Listener
    # How long to try for a lock that was just released: a third server may have it while it finds the path live.
    RELEASED_LOCK_SECONDS = 2

    private_constant :RELEASED_LOCK_SECONDS

    attr_reader :path, :logger

    # Server.new describes the options.
    def initialize(address, mode: 0o660, group: nil, owner: File.basename($PROGRAM_NAME), trust_folder: false,
                   allow_takeover: false, takeover: false, logger: Logger.new($stderr, progname: 'samehost'))
      @path = SocketAddress.new(address).path
      @name = File.basename(@path)
      @permissions = Permissions.new(mode, group)
      @owner = owner
      @trust_folder = trust_folder
      # nil where there is no room for it, too: such a server can't be taken over.
      @control_path = Takeover.control_path(@path) if allow_takeover || takeover
      @takeover = takeover
      @logger = logger
      # Held while the lock changes hands, which it does in a thread of its own.
      @changing = Mutex.new
    end

    # Locks the path, and returns another one to bind.
    def claim
      @folder = Folder.of_socket(@path, trusted: @trust_folder, logger: @logger)
      @names = PublicNames.new(@folder, @path)
      @vacancy = Vacancy.new(@folder, @path)
      @lock = take_lock
      meet_whoever_serves if @vacancy.taken? && !@predecessor
      @vacancy.refuse_foreign_control(@control_path) if @control_path
      PrivateFolder.sweep(@folder, @path) unless @predecessor # it keeps its sockets' names in one
      @private = PrivateFolder.create(@folder, @path)
      @bound = @private.new_path
    end

    # Gives the bound socket its group and mode, and renames it onto the path; from now on it is found.
    #
    # @yield in another thread, when a successor has taken the path over
    def publish(&handed_over)
      @permissions.apply(@bound)
      give_names
      @private.remove
      # Only now: whoever hears of it may remove or rename what is beside the path.
      @predecessor&.tell_published
      @successors = Takeover::Successors.new(@path, @control, self, @logger, &handed_over) if @control
    rescue SystemCallError => e
      raise Error, "cannot publish #{@path} with #{@permissions}: #{Error.reason(e)}; " \
                   "#{PathState.describe_permissions(@path)}; only a group that this process is in can be given"
    end

    # Removes the path if it is still this server's own, and releases the lock; doing it twice is harmless.
    def withdraw
      @changing.synchronize do
        next if @withdrawn

        @withdrawn = true
        (@successors || @control)&.close
        leave_folder if @folder
        @predecessor&.close
      end
    end

    # Whether someone has removed the file, or has put another in its place, without taking it over.
    def lost?
      @changing.synchronize { !@lock.nil? && !@withdrawn && !@names.own?(@name, @path) }
    end

    # Lets a successor have the lock, as Takeover::Successors does.
    #
    # @return [Boolean] false where this server goes already
    def release
      @changing.synchronize do
        next false if @withdrawn

        @names.keep
        @lock.release
        @lock = nil
        true
      end
    end

    # Tries to take the lock again when a successor has failed. Even without it, others find the path live.
    #
    # @return [Boolean] whether the lock is there, or needed no more
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

    # It has no lock that this server could see: somebody has removed the file, for example.
    def meet_whoever_serves
      return @predecessor = Takeover::Predecessor.new(@folder, @path) if @takeover

      raise InUseError, "#{@path} has a server already: someone answers there without holding #{@path}.lock; " \
                        'stop that server or choose another path'
    end

    # That for successors first: a server that fails or dies in between has taken no path away.
    def give_names
      @changing.synchronize do
        raise Error, "the server of #{@path} was stopped while it started" if @withdrawn

        give_control_name if @control_path
        @vacancy.refuse_what_came_meanwhile
        @names.give(@name, @bound)
      end
    end

    def give_control_name
      private_path = @private.new_path
      @control = Takeover.listen(private_path)
      @names.give(File.basename(@control_path), private_path)
    end

    def leave_folder
      # A successor that has the lock may put its own names there.
      @lock ||= SocketLock.try(@folder, @path, @owner) if @names.any?
      @names.remove if @lock
      @names.forget_kept
      @private&.remove
      @folder.close
      @lock&.release
    end
  end
end
