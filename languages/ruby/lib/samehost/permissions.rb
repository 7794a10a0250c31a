# frozen_string_literal: true

require 'etc'

module Samehost
  # The mode and the group of a socket.
  class Permissions
    # chown(2) does not change the group if it gets this number. The greatest group number is one less.
    NO_GROUP = (2**32) - 1

    private_constant :NO_GROUP

    # @raise [ArgumentError] the mode or group is invalid
    def initialize(mode, group)
      raise ArgumentError, "invalid mode #{format('%04o', mode)}: use 0000 to 0777" unless (0..0o777).cover?(mode)

      @mode = mode
      @group = group
      @gid = group_id(group)
    end

    # Sets them on a bound socket.
    #
    # @param socket_path [String] the public path, for errors
    def apply(bound, socket_path)
      set(socket_path, "group #{@group}", 'use a group of this process') { File.chown(nil, @gid, bound) } if @gid
      set(socket_path, "mode #{format('%04o', @mode)}", 'use a file system that has permissions') do
        File.chmod(@mode, bound)
      end
    end

    private

    def set(socket_path, setting, remedy)
      yield
    rescue SystemCallError => e
      raise Error, "cannot listen on #{socket_path}: cannot set the #{setting}: #{Error.reason(e)}; #{remedy}"
    end

    def group_id(group)
      case group
      when nil, 0...NO_GROUP then group
      when String then id_of_group_named(group)
      else raise ArgumentError, "invalid group #{group}: use a name, or a number from 0 to #{NO_GROUP - 1}"
      end
    end

    def id_of_group_named(name)
      Etc.getgrnam(name).gid
    rescue ArgumentError
      raise ArgumentError, "invalid group '#{name}': no group has this name; create it, or use its number"
    end
  end
end
