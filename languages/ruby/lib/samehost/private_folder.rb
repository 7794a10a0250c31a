# frozen_string_literal: true

require 'digest'
require 'securerandom'

module Samehost
  # A new folder in the folder of a socket. Only this user can enter it.
  class PrivateFolder < Folder
    MODE = 0o700

    # The permissions of the group and of other users.
    OTHERS = 0o077

    # Hexadecimal digits. Two sockets in one folder have the same prefix with a probability of 1 in 4 billion.
    DIGEST_LENGTH = 8

    # Another user cannot create all these names in advance.
    RANDOM_BYTES = 4

    private_constant :MODE, :OTHERS, :DIGEST_LENGTH, :RANDOM_BYTES

    # Creates a private folder.
    #
    # @param parent [Folder] the folder of the socket
    def self.create(parent, socket_path)
      name = prefix(socket_path) + SecureRandom.hex(RANDOM_BYTES)
      Dir.mkdir(parent.at(name), MODE)
      new(parent, name).tap do |folder|
        mode = folder.stat.mode
        # The umask may have removed permissions. Keep the set-group-ID bit: sockets inherit the group through it.
        File.chmod(mode | MODE, folder.path) unless mode.allbits?(MODE)
      end
    rescue SystemCallError => e
      raise Error, "cannot listen on #{socket_path}: cannot create a private folder beside it: #{Error.reason(e)}: " \
                   "#{PathState.describe_permissions(File.dirname(socket_path))}; " \
                   'give this process write permission, and the file system space'
    end

    # Removes the private folders of killed servers. The caller must hold the lock.
    def self.sweep(parent, socket_path)
      parent.names.select { |name| name.start_with?(prefix(socket_path)) }.each do |name|
        new(parent, name).remove
      rescue SystemCallError # it belongs to another user
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
      raise Errno::EPERM # another user replaced the folder, or can enter it
    end

    # A path to bind. It is random because C-core unlinks the name that it bound when it shuts down, even if the name
    # belongs to another file then.
    def new_path
      at(SecureRandom.hex(RANDOM_BYTES))
    end

    # Removes the sockets in the folder and the folder, and closes it. Can be called again.
    def remove
      return if closed?

      names.each { |name| File.unlink(at(name)) if File.lstat(at(name)).socket? }
      Dir.rmdir(@parent.at(@name))
    rescue SystemCallError # it holds other files, or the next server removes it
      nil
    ensure
      close
    end
  end
end
