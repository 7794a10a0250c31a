# frozen_string_literal: true

module Samehost
  # The public names of the sockets of a server.
  #
  # Change them only while you hold the lock. Otherwise a successor could publish its own sockets between a check and a
  # change.
  class PublicNames
    def initialize(folder, socket_path)
      @folder = folder
      @socket_path = socket_path
      # The device and inode of each socket, which identify it while it exists.
      @own = {}
    end

    # Renames a socket to a public name. This atomically replaces a stale socket.
    def give(name, private_path)
      @own[name] = identity(private_path)
      File.rename(private_path, @folder.at(name))
    rescue SystemCallError => e
      raise Error, "cannot listen on #{@socket_path}: cannot move the socket there: #{Error.reason(e)}: " \
                   "#{PathState.describe_permissions(@socket_path)}; give this process write permission"
    end

    # Whether this server has any public name.
    def any?
      @own.any?
    end

    # Whether a public name, or another path to it, names the socket of this server.
    def own?(name, path = @folder.at(name))
      identity(path) == @own[name]
    rescue SystemCallError
      false
    end

    # Removes the names that still name the sockets of this server.
    def remove
      each_name { |name| File.unlink(@folder.at(name)) if own?(name) }
    end

    # Creates second names of the sockets, so that #restore works after a successor took the public names and died. They
    # are hard links in a private folder. On a file system without hard links, the server continues to serve, but new
    # clients cannot connect.
    def keep
      @kept = PrivateFolder.create(@folder, @socket_path)
      each_name { |name| File.link(@folder.at(name), @kept.at(name)) if own?(name) }
    rescue Error
      nil
    end

    # Restores public names that are free or stale.
    def restore
      each_name { |name| File.rename(@kept.at(name), @folder.at(name)) if vacant?(name) } if @kept
      forget_kept
    end

    # Removes the second names.
    def forget_kept
      @kept&.remove
      @kept = nil
    end

    private

    # Calls the block for each name and ignores errors of the system.
    def each_name
      @own.each_key do |name|
        yield name
      rescue SystemCallError
        nil
      end
    end

    def vacant?(name)
      !own?(name) && %i[absent stale].include?(PathState.of(@folder.connectable(name)))
    rescue SystemCallError
      false
    end

    def identity(path)
      found = File.lstat(path)
      [found.dev, found.ino]
    end
  end
end
