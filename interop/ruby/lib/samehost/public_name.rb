# frozen_string_literal: true

module Samehost
  # A name that this server gives to its socket, and that is only its own to remove while device and inode there are the
  # socket's: others may have put something else there since.
  class PublicName
    def initialize(path)
      @path = path
    end

    # Renames the socket, which replaces a stale one in the same instant.
    def give(private)
      @identity = identity(private)
      File.rename(private, @path)
    end

    def own?
      !@identity.nil? && identity(@path) == @identity
    rescue SystemCallError
      false
    end

    # To be called while the lock is held: a successor could else put its own there between the look and the removal.
    def remove
      File.unlink(@path) if own?
    rescue SystemCallError
      nil
    end

    private

    def identity(path)
      found = File.lstat(path)
      [found.dev, found.ino]
    end
  end
end
