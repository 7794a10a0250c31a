# frozen_string_literal: true

require 'samehost/greeter/v1/greeter_services_pb'

module Samehost
  module Interop
    # GreeterService, with one method for each of gRPC's four kinds of call.
    class GreeterService < Greeter::V1::GreeterService::Service
      GREETINGS = {
        'de' => 'Hallo, %s!',
        'en' => 'Hello, %s!',
        'es' => '¡Hola, %s!',
        'fr' => 'Bonjour, %s !',
        'ja' => 'こんにちは、%sさん！'
      }.freeze
      MAX_NAME = 256
      MAX_TEXT = 4096
      MAX_INTERVAL_SECONDS = 60

      # Greets one person.
      def greet(request, _call)
        refuse(name_fault(request.name))
        Greeter::V1::GreetResponse.new(message: greeting('en', request.name))
      end

      # Greets one person in several languages. Each response has one language.
      def greet_in_languages(request, call)
        return enum_for(:greet_in_languages, request, call) unless block_given?

        refuse(languages_fault(request))
        languages = request.languages.empty? ? GREETINGS.keys : request.languages
        languages.each_with_index do |language, position|
          sleep(interval(request)) if position.positive?
          yield Greeter::V1::GreetInLanguagesResponse.new(language:, message: greeting(language, request.name))
        end
      end

      # Greets all names of the stream in one response.
      def greet_together(call)
        names = call.each_remote_read.map do |request|
          refuse(name_fault(request.name))
          request.name
        end
        refuse('the stream has no request; send at least one name') if names.empty?
        Greeter::V1::GreetTogetherResponse.new(message: greeting('en', everyone(names)), count: names.size)
      end

      # Answers each message when it arrives.
      def converse(requests)
        return enum_for(:converse, requests) unless block_given?

        requests.each.with_index(1) do |request, turn|
          refuse(text_fault(request.text))
          text = request.text.empty? ? 'You said nothing.' : "You said: #{request.text}"
          yield Greeter::V1::ConverseResponse.new(text:, turn:)
        end
      end

      private

      def greeting(language, name)
        format(GREETINGS.fetch(language), name)
      end

      def everyone(names)
        *others, last = names
        others.empty? ? last : "#{others.join(', ')} and #{last}"
      end

      def refuse(fault)
        raise GRPC::InvalidArgument, fault if fault
      end

      def name_fault(name)
        return if name.length.between?(1, MAX_NAME)

        "name has #{name.length} characters; give 1 to #{MAX_NAME}"
      end

      def text_fault(text)
        "text has #{text.length} characters; give at most #{MAX_TEXT}" if text.length > MAX_TEXT
      end

      def languages_fault(request)
        unknown = request.languages.find { |language| !GREETINGS.key?(language) }
        return "languages has '#{unknown}'; the server knows #{GREETINGS.keys.join(', ')}" if unknown

        seconds = interval(request)
        return "interval is #{seconds} seconds; give 0 to #{MAX_INTERVAL_SECONDS}" unless
          seconds.between?(0, MAX_INTERVAL_SECONDS)

        name_fault(request.name)
      end

      def interval(request)
        request.interval ? request.interval.seconds + (request.interval.nanos / 1e9) : 0
      end
    end
  end
end
