# frozen_string_literal: true

require 'samehost'
require 'samehost/greeter/v1/greeter_services_pb'
require 'samehost/interop/status'

module Samehost
  module Interop
    # Makes the four kinds of call of GreeterService, one after the other.
    class Greetings
      # The messages that one call sent and received, in order.
      Exchange = Struct.new(:call, :sent, :received) do
        def to_s
          [call, *sent.map { |text| "  > #{text}" }, *received.map { |text| "  < #{text}" }].join("\n")
        end
      end

      GUESTS = %w[Grace Edsger].freeze

      # Waits for the server, and yields each exchange as soon as its call has ended.
      #
      # @param timeout [Float] seconds to wait for the server, and the deadline of each call
      def self.each(address, name, timeout, &block)
        Samehost.channel(address, wait: timeout, wait_for_ready: true) do |channel|
          new(channel, name, timeout).each(&block)
        end
      rescue GRPC::BadStatus => e
        raise Status.explain(e, address)
      end

      def initialize(channel, name, timeout)
        @stub = Greeter::V1::GreeterService::Stub.new(nil, nil, channel_override: channel, timeout:)
        @name = name
      end

      def each
        yield greet
        yield greet_in_languages
        yield greet_together
        yield converse
      end

      private

      def greet
        response = @stub.greet(Greeter::V1::GreetRequest.new(name: @name))
        Exchange.new('Greet', [@name], [response.message])
      end

      def greet_in_languages
        responses = @stub.greet_in_languages(Greeter::V1::GreetInLanguagesRequest.new(name: @name))
        Exchange.new('GreetInLanguages', [@name], responses.map { |each| "#{each.language}: #{each.message}" })
      end

      def greet_together
        party = [@name, *GUESTS]
        response = @stub.greet_together(party.map { |name| Greeter::V1::GreetTogetherRequest.new(name:) })
        Exchange.new('GreetTogether', party, [response.message])
      end

      # The next text depends on the last response, so the requests come from a queue that the responses fill.
      def converse
        exchange = Exchange.new('Converse', [], [])
        texts = Queue.new
        send_text(exchange, texts, "#{@name} here.")
        @stub.converse(requests(texts)).each do |response|
          exchange.received << response.text
          reply = ["I heard: #{response.text}", 'Goodbye!'][exchange.received.size - 1]
          reply ? send_text(exchange, texts, reply) : texts.close
        end
        exchange
      ensure
        texts&.close
      end

      def send_text(exchange, texts, text)
        exchange.sent << text
        texts << text
      end

      # Returns a request for each text, until the queue is closed.
      def requests(texts)
        Enumerator.new do |call|
          while (text = texts.pop)
            call << Greeter::V1::ConverseRequest.new(text:)
          end
        end
      end
    end
  end
end
