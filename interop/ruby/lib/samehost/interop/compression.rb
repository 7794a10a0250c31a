# frozen_string_literal: true

require 'grpc'
require 'zlib'
require 'samehost'

module Samehost
  module Interop
    # Which messages came compressed, and which are sent so: what grpc shows no handler, and the interop cases ask.
    #
    # With the channel argument `grpc.per_message_decompression` off, C-core hands over each message as it came over the
    # wire. So whoever turns it off, server or client, must undo the compression itself, for every method, and knows by
    # the first bytes of each message whether there was any.
    module Compression
      # The channel argument of a server or a channel that has messages handed over as they came.
      AS_SENT = { 'grpc.per_message_decompression' => 0 }.freeze

      # Metadata that C-core takes for itself, and then compresses the messages of that call.
      GZIP = { GRPC::Core::MetadataKeys::COMPRESSION_REQUEST_ALGORITHM => 'gzip' }.freeze

      COMPRESSED = 0
      PLAIN = GRPC::Core::WriteFlags::NO_COMPRESS

      # RFC 1952 begins gzip so, and RFC 1950 begins what gRPC calls deflate so, for any window of 32 KiB, which is
      # zlib's default. No plain message of the contract does: 1f would be field 3 of a wire type that does not exist,
      # and 78 a varint in field 15, which none of the messages that these programs take has.
      HEADERS = ["\x1f\x8b".b, 'x'.b].freeze

      # For Zlib::Inflate: the largest window, and gzip or deflate as the header says.
      ANY_HEADER = Zlib::MAX_WBITS + 32

      # A message, and whether it came compressed.
      Received = Struct.new(:message, :compressed)

      # A method of a server with AS_SENT. It refuses requests that did not come as they say they do, and gives its
      # handler the call itself, whose write flag the views that handlers are given leave out
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

      # A call that is its own view.
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

      # Has the methods of these classes of services, which a server with AS_SENT serves, see the compression.
      def see(*services)
        services.each { |service| service.rpc_descs.transform_values! { |method| RpcDesc.new(*method.to_a) } }
      end

      # Lets the messages of a server's call be compressed, unless its headers, which say so, have gone.
      def allow(call)
        call.merge_metadata_to_send(GZIP) unless call.metadata_sent
      end

      # Reads a message as it came over the wire.
      def receive(bytes, unmarshal)
        compressed = bytes.start_with?(*HEADERS)
        Received.new(unmarshal.call(compressed ? inflate(bytes) : bytes), compressed)
      rescue Google::Protobuf::ParseError => e
        raise GRPC::Internal, "a message of #{bytes.bytesize} bytes is broken: #{e.message}"
      end

      # Gives the message of a request, or refuses it.
      def check(received)
        request = received.message
        expected = request.expect_compressed&.value if request.respond_to?(:expect_compressed)
        return request if expected.nil? || expected == received.compressed

        raise GRPC::InvalidArgument, "expect_compressed is #{expected} and the message came " \
                                     "#{received.compressed ? 'compressed' : 'uncompressed'}"
      end

      def inflate(bytes)
        message = String.new(encoding: Encoding::BINARY)
        inflater = Zlib::Inflate.new(ANY_HEADER)
        inflater.inflate(bytes) { |chunk| append(message, chunk) }
        raise Zlib::BufError, 'it is cut short' unless inflater.finished?

        message
      rescue Zlib::Error => e
        raise GRPC::Internal, "a compressed message of #{bytes.bytesize} bytes is broken: #{e.message}"
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
