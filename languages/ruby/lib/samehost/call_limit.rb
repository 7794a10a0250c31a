# frozen_string_literal: true

require 'grpc'

module Samehost
  # Refuses calls beyond a limit at once, but never a health check.
  #
  # Each call holds a thread of GRPC::RpcServer's pool, and when all are held the server refuses health checks with the
  # rest, so that a busy server looks dead. With a pool larger than the limit there is always a thread for them.
  class CallLimit < GRPC::ServerInterceptor
    # Threads beyond the limit, which refuse a call or answer a health check.
    SPARE_THREADS = 4

    def initialize(most)
      super()
      @refusal = "the server has its limit of #{most} calls in progress; try again later"
      @permits = SizedQueue.new(most)
    end

    def request_response(method:, **, &block)
      method.receiver.is_a?(HealthService) ? yield : limited(&block)
    end

    def client_streamer(**, &block)
      limited(&block)
    end

    def server_streamer(**, &block)
      limited(&block)
    end

    def bidi_streamer(**, &block)
      limited(&block)
    end

    private

    def limited
      begin
        @permits.push(nil, true)
      rescue ThreadError # the queue is full
        raise GRPC::ResourceExhausted, @refusal
      end
      begin
        yield
      ensure
        @permits.pop
      end
    end
  end
end
