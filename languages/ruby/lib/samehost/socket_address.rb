# frozen_string_literal: true

module Samehost
  # Where a server listens: an absolute path of at most 107 bytes, written `unix:/absolute/path`.
  class SocketAddress
    # `sun_path` of Linux's unix(7) has 108 bytes, one of them the final NUL.
    MAX_PATH_BYTES = 107

    # gRPC reads an address as a URI (grpc/grpc doc/naming.md), in which these begin an escape, a query, a fragment and
    # the next of several addresses; libraries differ in whether they undo it, so such a path would not be one path.
    RESERVED = /[%?#,]|[^[:print:]]/

    attr_reader :path

    # Reads `unix:/absolute/path`, `unix:///absolute/path`, a plain absolute path, or another SocketAddress.
    def initialize(address)
      # Whatever the locale says: gRPC takes UTF-8.
      text = address.to_s.dup.force_encoding(Encoding::UTF_8)
      @path = text.delete_prefix('unix:')
      @path = @path[2..] if @path.start_with?('///')
      fault = self.class.fault(@path)
      raise AddressError, "bad socket address #{text.inspect}: #{fault}" if fault
    end

    def to_s
      "unix:#{path}"
    end

    # What is wrong with a path, and the remedy; nil where nothing is.
    def self.fault(path)
      return 'the path is not UTF-8; choose another one' unless path.valid_encoding?

      shape_fault(path) || reserved_fault(path) || length_fault(path)
    end

    def self.shape_fault(path)
      case path
      when '' then 'the path is empty; write unix:/absolute/path'
      when %r{\A//} then 'two slashes make the next word a host; write unix:/absolute/path or unix:///absolute/path'
      when %r{\A[^/]} then 'the path is not absolute; write unix:/absolute/path'
      when %r{/\.{0,2}\z}
        'the path names a folder; add the name of the socket, as in unix:/run/app/app.sock'
      end
    end

    def self.reserved_fault(path)
      found = path[RESERVED] or return
      "the path contains #{found.inspect}, which gRPC libraries do not all read alike; choose a path without it"
    end

    def self.length_fault(path)
      return if path.bytesize <= MAX_PATH_BYTES

      "the path has #{path.bytesize} bytes and a Unix socket's may have #{MAX_PATH_BYTES}; choose a shorter one"
    end
    private_class_method :shape_fault, :reserved_fault, :length_fault
  end
end
