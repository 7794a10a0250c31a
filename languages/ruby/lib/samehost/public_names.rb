# frozen_string_literal: true

module Samehost
  # The names by which others find the sockets of a server.
  #
  # Change them only while you hold the lock: without it, a successor may put its own there between a look and a change.
  class PublicNames
    def initialize(folder, socket_path)
      @folder = folder
      @socket_path = socket_path
      # Device and inode of the sockets, which no other files have while these are there.
      @own = {}
    end

    # Renames a socket, which replaces a stale one in the same instant.
    def give(name, private_path)
      @own[name] = identity(private_path)
      File.rename(private_path, @folder.at(name))
    end

    # Whether this server has given one.
    def any?
      @own.any?
    end

    # Whether what is at the name, or at another path of it, is this server's.
    def own?(name, path = @folder.at(name))
      identity(path) == @own[name]
    rescue SystemCallError
      false
    end

    # Removes those that are still this server's.
    def remove
      each_name { |name| File.unlink(@folder.at(name)) if own?(name) }
    end

    # Gives the sockets further names, hard links in a private folder, in case a successor dies with the public ones.
    # Where the file system has no hard links, such a server serves on and no new client finds it.
    def keep
      @kept = PrivateFolder.create(@folder, @socket_path)
      each_name { |name| File.link(@folder.at(name), @kept.at(name)) if own?(name) }
    rescue Error
      nil
    end

    # Gives the sockets their public names again, where nothing has those or nobody listens.
    def restore
      each_name { |name| File.rename(@kept.at(name), @folder.at(name)) if vacant?(name) } if @kept
      forget_kept
    end

    # Removes the further names.
    def forget_kept
      @kept&.remove
      @kept = nil
    end

    private

    # One that fails does not keep the others from being changed.
    def each_name
      @own.each_key do |name|
        yield name
      rescue SystemCallError
        nil
      end
    end

    def vacant?(name)
      !own?(name) && %i[absent stale].include?(PathState.of(@folder.connectable(name)))
    rescue Error # it can't be seen
      false
    end

    def identity(path)
      found = File.lstat(path)
      [found.dev, found.ino]
    end
  end
end
