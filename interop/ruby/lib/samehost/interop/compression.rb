# frozen_string_literal: true

require 'grpc'
require 'zlib'
require 'samehost'

module Samehost
  module Interop
    # Reads which messages were compressed, and selects which messages to compress. grpc does not show this to handlers,
    # but the interop cases need it.
    #
    # With the channel argument `grpc.per_message_decompression` off, C-core passes messages as they were sent. The
    # server or client must then decompress the messages of every method. The first bytes of a message show whether it
    # is compressed.
    module Compression
      # Channel argument of servers and channels: passes messages as they were sent.
      AS_SENT = { 'grpc.per_message_decompression' => 0 }.freeze

      # Metadata that makes C-core compress the messages of a call. C-core does not send it.
      GZIP = { GRPC::Core::MetadataKeys::COMPRESSION_REQUEST_ALGORITHM => 'gzip' }.freeze

      COMPRESSED = 0
      PLAIN = GRPC::Core::WriteFlags::NO_COMPRESS

      # The first bytes of gzip (RFC 1952), and of deflate (RFC 1950) with a window of 32 KiB, the default of zlib. No
      # uncompressed message of these programs starts like this: 1f would be field 3 with an unknown wire type, and 78 a
      # varint in field 15, which no message has.
      HEADERS = ["\x1f\x8b".b, 'x'.b].freeze

      # For Zlib::Inflate: the largest window, and detection of gzip and deflate.
      ANY_HEADER = Zlib::MAX_WBITS + 32

      # A message, and whether it was compressed.
      Received = Struct.new(:message, :compressed)

      # A method of a server with AS_SENT. It refuses a request whose compression differs from its expect_compressed. It
      # passes the whole call to the handler, because the views that grpc passes have no write flag
      # (https://github.com/grpc/grpc/blob/v1.51.1/src/ruby/lib/grpc/generic/active_call.rb).
      class RpcDesc < GRPC::RpcDesc
        def unmarshal_proc(target)
          unmarshal = super
          return unmarshal unless target == :input

          proc { |bytes| Compression.check(Compression.receive(bytes, unmarshal)) }
        end

        def run_server_method(active_call, *others)
          super(active_call.extend(WholeCall), *others)
        end
      end

      # Replaces the views of a call by the call.
      module WholeCall
        def single_req_view
          self
        end

        def multi_req_view
          self
        end
      end
      private_constant :WholeCall

      module_function

      # Replaces the methods of service classes by RpcDesc. Call it for each service of a server with AS_SENT.
      def extend_services(*services)
        services.each { |service| service.rpc_descs.transform_values! { |method| RpcDesc.new(*method.to_a) } }
      end

      # Allows compressed messages in a call of a server, unless its headers were already sent.
      def allow(call)
        call.merge_metadata_to_send(GZIP) unless call.metadata_sent
      end

      # Decodes a message as it was sent.
      def receive(bytes, unmarshal)
        compressed = bytes.start_with?(*HEADERS)
        Received.new(unmarshal.call(compressed ? inflate(bytes) : bytes), compressed)
      rescue Google::Protobuf::ParseError => e
        raise GRPC::Internal, "cannot decode a message of #{bytes.bytesize} bytes: #{e.message}"
      end

      # Returns the message of a request. Raises INVALID_ARGUMENT if its compression is not the expected one.
      def check(received)
        request = received.message
        expected = request.expect_compressed&.value if request.respond_to?(:expect_compressed)
        return request if expected.nil? || expected == received.compressed

        raise GRPC::InvalidArgument, "expect_compressed is #{expected}, but the message was " \
                                     "#{received.compressed ? 'compressed' : 'uncompressed'}"
      end

      def inflate(bytes)
        message = String.new(encoding: Encoding::BINARY)
        inflater = Zlib::Inflate.new(ANY_HEADER)
        inflater.inflate(bytes) { |chunk| append(message, chunk) }
        raise Zlib::BufError, 'the data is incomplete' unless inflater.finished?

        message
      rescue Zlib::Error => e
        raise GRPC::Internal, "cannot decompress a message of #{bytes.bytesize} bytes: #{e.message}"
      ensure
        inflater&.close
      end

      def append(message, chunk)
        message << chunk
        return if message.bytesize <= Transport::MAX_MESSAGE_BYTES

        raise GRPC::ResourceExhausted, "a compressed message is longer than #{Transport::MAX_MESSAGE_BYTES} bytes"
      end
      private_class_method :inflate, :append
    end
  end
end
