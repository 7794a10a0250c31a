# frozen_string_literal: true

module Samehost
  # The address of a server: an absolute path of at most 107 bytes, written `unix:/absolute/path`.
  class SocketAddress
    # sun_path in Linux's unix(7) has 108 bytes, and the last one is a NUL.
    MAX_PATH_BYTES = 107

    # gRPC reads an address as a URI (grpc/grpc doc/naming.md). In a URI these characters start an escape, a query, a
    # fragment and the next of several addresses. Not all libraries decode them, so one address could name two paths.
    RESERVED = /[%?#,]|[^[:print:]]/

    attr_reader :path

    # Parses `unix:/absolute/path`, `unix:///absolute/path`, a plain absolute path, or another SocketAddress.
    #
    # @raise [AddressError] the address is invalid
    def initialize(address)
      # gRPC expects UTF-8 in every locale.
      text = address.to_s.dup.force_encoding(Encoding::UTF_8)
      @path = text.delete_prefix('unix:')
      @path = @path[2..] if @path.start_with?('///')
      fault = self.class.fault(@path)
      raise AddressError, "invalid socket address #{text.inspect}: #{fault}" if fault
    end

    def to_s
      "unix:#{path}"
    end

    # Returns the problem of a path and the remedy, or nil if the path is valid.
    def self.fault(path)
      return differently_read('invalid UTF-8') unless path.valid_encoding?

      shape_fault(path) || reserved_fault(path) || length_fault(path)
    end

    def self.shape_fault(path)
      case path
      when '' then 'the path is empty; use unix:/absolute/path'
      when %r{\A//} then 'a host follows two slashes; use unix:/absolute/path or unix:///absolute/path'
      when %r{\A[^/]} then 'the path is not absolute; use unix:/absolute/path'
      when %r{/\.{0,2}\z}
        'the path names a folder; add the name of the socket, as in unix:/run/app/app.sock'
      end
    end

    def self.reserved_fault(path)
      found = path[RESERVED] or return
      differently_read(found.inspect)
    end

    def self.differently_read(character)
      "gRPC libraries read #{character} in a path differently; use a path without it"
    end

    def self.length_fault(path)
      return if path.bytesize <= MAX_PATH_BYTES

      "the path has #{path.bytesize} bytes, and a socket can have #{MAX_PATH_BYTES}; use a shorter path"
    end
    private_class_method :shape_fault, :reserved_fault, :differently_read, :length_fault
  end
end
