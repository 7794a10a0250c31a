# frozen_string_literal: true

require 'digest'
require 'securerandom'

module Samehost
  # A new folder in the folder of a socket, which only this user may enter.
  class PrivateFolder < Folder
    MODE = 0o700

    # The permissions of the group and of all others.
    OTHERS = 0o077

    # Hexadecimal digits, so that two sockets of one folder find each other's private folders once in 4 billion.
    DIGEST_LENGTH = 8

    # Enough names that nobody can make all of them first.
    RANDOM_BYTES = 4

    private_constant :MODE, :OTHERS, :DIGEST_LENGTH, :RANDOM_BYTES

    # Creates one.
    #
    # @param parent [Folder] that of the socket
    def self.create(parent, socket_path)
      name = prefix(socket_path) + SecureRandom.hex(RANDOM_BYTES)
      Dir.mkdir(parent.at(name), MODE)
      new(parent, name).tap do |folder|
        mode = folder.stat.mode
        # The umask may have taken permissions away. The set-group-ID bit stays, which gives sockets their group.
        File.chmod(mode | MODE, folder.path) unless mode.allbits?(MODE)
      end
    rescue SystemCallError => e
      raise Error, "cannot create a private folder beside #{socket_path}: #{Error.reason(e)}; " \
                   "#{PathState.describe_permissions(File.dirname(socket_path))}; let this process write there"
    end

    # Removes those that killed servers have left. Call it only while you hold the lock.
    def self.sweep(parent, socket_path)
      parent.names.select { |name| name.start_with?(prefix(socket_path)) }.each do |name|
        new(parent, name).remove
      rescue SystemCallError # it is somebody else's
        nil
      end
    end

    def self.prefix(socket_path)
      ".#{Digest::SHA256.hexdigest(File.basename(socket_path))[0, DIGEST_LENGTH]}"
    end

    private_class_method :new, :prefix

    def initialize(parent, name)
      @parent = parent
      @name = name
      super(parent.at(name), File::NOFOLLOW)
      return if stat.owned? && stat.mode.nobits?(OTHERS)

      close
      raise Errno::EPERM # someone has put another folder in its place, or may have put something in it
    end

    # A path to bind. It is random, as C-core unlinks the name that it bound when it shuts down, whatever is there then.
    def new_path
      at(SecureRandom.hex(RANDOM_BYTES))
    end

    # Removes the sockets in it and the folder, and closes it; doing it twice is harmless.
    def remove
      return if closed?

      names.each { |name| File.unlink(at(name)) if File.lstat(at(name)).socket? }
      Dir.rmdir(@parent.at(@name))
    rescue SystemCallError # it holds something else; or the next server removes it
      nil
    ensure
      close
    end
  end
end
