# frozen_string_literal: true

require_relative 'servers'
require 'grpc/health/v1/health_services_pb'

# The stop of a server.
class StopTest < Minitest::Test
  include Servers

  # Replaces a generated service.
  class Service
    include GRPC::GenericService
    self.marshal_class_method = :encode
    self.unmarshal_class_method = :decode
    self.service_name = 'test.Waiting'
    rpc :Wait, Grpc::Health::V1::HealthCheckRequest, Grpc::Health::V1::HealthCheckResponse
  end

  # Its calls wait for a queue. A stubborn handler waits again when its thread is killed.
  class Waiting < Service
    attr_reader :started, :ends

    def initialize(stubborn:)
      super()
      @stubborn = stubborn
      @started = Queue.new
      @ends = Queue.new
    end

    def wait(_request, _call)
      @started << true
      @ends.pop
      Grpc::Health::V1::HealthCheckResponse.new(status: :SERVING)
    ensure
      @ends.pop if @stubborn
    end
  end

  def test_stops_at_once_without_clients
    assert_operator stop_after(age: 60_000), :<, 10 # takes 0.1 s
  end

  def test_stops_at_once_after_clients_disconnected
    assert_operator stop_after(age: 60_000) { connect.close }, :<, 10
  end

  def test_serves_an_idle_client_until_its_connection_is_renewed
    channel = nil
    assert_includes 0.5..10, stop_after(age: 1000) { channel = connect } # the connection lasts at least 0.9 s
  ensure
    channel&.close
  end

  def test_does_not_wait_for_a_silent_client_after_the_grace
    silent = nil
    # grpc waits for its handshake like for a call.
    seconds = stop_after(age: 500, grace: 0.1) { silent = UNIXSocket.new(@path) }
    assert_includes 0.5..10, seconds # 1.3 ages and the grace
  ensure
    silent&.close
  end

  def test_does_not_wait_for_an_age_above_the_default
    channel = nil
    assert_includes 1..10, stop_after(age: 60_000, grace: 0.1) { channel = connect }
  ensure
    channel&.close
  end

  def test_a_call_in_progress_finishes
    calling(server(service = Waiting.new(stubborn: false))) do |call, server|
      service.started.pop
      stopping = Thread.new { seconds { server.stop } }
      sleep(0.01) while File.exist?(@path)
      service.ends << true
      assert_equal :SERVING, call.value.status
      assert_operator stopping.value, :<, 5
    end
  end

  def test_does_not_wait_for_a_stubborn_handler_after_the_grace
    calling(server(service = Waiting.new(stubborn: true), grace: 0.1)) do |call, server|
      service.started.pop
      assert_includes 0.1..10, (seconds { server.stop })
      assert_raises(GRPC::BadStatus) { call.value }
    ensure
      2.times { service.ends << true }
    end
  end

  private

  # Starts a server, runs the block, and returns the seconds that the stop takes.
  def stop_after(age:, grace: 5)
    server = server(grace:, args: { 'grpc.max_connection_age_ms' => age }).tap(&:start)
    yield if block_given?
    seconds { server.stop }
  end

  def connect
    Samehost.channel(@path, wait: 10)
  end

  # Calls Waiting in another thread.
  def calling(server)
    server.start
    Samehost.channel(@path) do |channel|
      stub = Service.rpc_stub_class.new(nil, nil, channel_override: channel, timeout: 10)
      call = Thread.new { stub.wait(Grpc::Health::V1::HealthCheckRequest.new) }
      call.report_on_exception = false
      yield call, server
    end
  end
end
