# frozen_string_literal: true

require 'grpc'

module Samehost
  # Refuses calls above a limit at once, but never a health check.
  #
  # Each call holds a thread of the pool of GRPC::RpcServer. Without a free thread, the server also refuses health
  # checks, so a busy server looks dead. The pool is larger than the limit, so health checks always find a thread.
  class CallLimit < GRPC::ServerInterceptor
    # Threads above the limit, which refuse calls and answer health checks.
    SPARE_THREADS = 4

    def initialize(limit)
      super()
      @refusal = "the server has reached its limit of #{limit} concurrent calls; try again later"
      @permits = SizedQueue.new(limit)
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
