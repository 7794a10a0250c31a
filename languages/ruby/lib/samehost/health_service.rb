# frozen_string_literal: true

require 'grpc'
require 'grpc/health/v1/health_services_pb'

module Samehost
  # grpc.health.v1.Health (grpc/grpc doc/health-checking.md). Grpc::Health::Checker of the gem has no Watch.
  class HealthService < Grpc::Health::V1::Health::Service
    # How often Watch sends an unchanged status. grpc does not tell a handler that its client disconnected. Only a
    # failed send ends the handler and frees its thread. Watchers ignore a status that did not change.
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

    # Reports SERVING for a service. Takes its full name.
    def add(service_name)
      @serving << service_name
    end

    # Reports NOT_SERVING for all services from now on, and ends all watches.
    def shut_down
      @mutex.synchronize do
        @ended = true
        @changed.broadcast
      end
    end

    def check(request, _call)
      return response(request) if @serving.include?(request.service)

      raise GRPC::NotFound, "the server does not have the service '#{request.service}'"
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
