# frozen_string_literal: true

require 'grpc'
require 'grpc/health/v1/health_services_pb'

module Samehost
  # grpc.health.v1.Health (grpc/grpc doc/health-checking.md); the gem's own Grpc::Health::Checker has no Watch.
  class HealthService < Grpc::Health::V1::Health::Service
    # How often a watcher is told its status again. grpc tells no handler that its caller has left; only a message that
    # can't be sent ends a watch that nobody reads, and frees its thread. To a watcher, no change is no news.
    REPEAT_SECONDS = 10

    Response = Grpc::Health::V1::HealthCheckResponse
    private_constant :Response

    def initialize
      super
      @serving = [''] # the server as a whole
      @ended = false
      @mutex = Mutex.new
      @changed = ConditionVariable.new
    end

    # Says SERVING of a service, by its full name.
    def add(service_name)
      @serving << service_name
    end

    # Says NOT_SERVING of everything for good, and ends all watches.
    def shut_down
      @mutex.synchronize do
        @ended = true
        @changed.broadcast
      end
    end

    def check(request, _call)
      return response(request) if @serving.include?(request.service)

      raise GRPC::NotFound, "no service '#{request.service}' is served here"
    end

    def watch(request, call)
      return enum_for(:watch, request, call) unless block_given?

      until @ended
        yield response(request)
        @mutex.synchronize { @changed.wait(@mutex, REPEAT_SECONDS) unless @ended }
      end
      yield response(request)
    end

    private

    def response(request)
      return Response.new(status: :SERVICE_UNKNOWN) unless @serving.include?(request.service)

      Response.new(status: @ended ? :NOT_SERVING : :SERVING)
    end
  end
end
