# frozen_string_literal: true

require 'etc'

module Samehost
  # The mode and the group of a socket.
  class Permissions
    # One less is the greatest id of a group: chown(2) takes this one for "leave it".
    NO_GROUP = (2**32) - 1

    private_constant :NO_GROUP

    # @raise [ArgumentError] there can be no such mode or group
    def initialize(mode, group)
      raise ArgumentError, "invalid mode #{format('%04o', mode)}: use 0000 to 0777" unless (0..0o777).cover?(mode)

      @mode = mode
      @gid = group_id(group)
    end

    # Gives them to a socket.
    def apply(path)
      File.chown(nil, @gid, path) if @gid
      File.chmod(@mode, path)
    end

    def to_s
      "mode #{format('%04o', @mode)} and group #{@gid || 'unchanged'}"
    end

    private

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
      raise ArgumentError, "no group is named '#{name}' on this machine; create it, or give its number"
    end
  end
end
