# frozen_string_literal: true

require_relative 'servers'
require 'grpc/health/v1/health_services_pb'

# How a server stops.
class StopTest < Minitest::Test
  include Servers

  # What a generated service is.
  class Service
    include GRPC::GenericService
    self.marshal_class_method = :encode
    self.unmarshal_class_method = :decode
    self.service_name = 'test.Waiting'
    rpc :Wait, Grpc::Health::V1::HealthCheckRequest, Grpc::Health::V1::HealthCheckResponse
  end

  # Calls wait in a queue, and may go on waiting when they are killed.
  class Waiting < Service
    attr_reader :begun, :ends

    def initialize(stubborn:)
      super()
      @stubborn = stubborn
      @begun = Queue.new
      @ends = Queue.new
    end

    def wait(_request, _call)
      @begun << true
      @ends.pop
      Grpc::Health::V1::HealthCheckResponse.new(status: :SERVING)
    ensure
      @ends.pop if @stubborn
    end
  end

  def test_it_stops_at_once_where_nobody_is_connected_whatever_the_age
    assert_operator stop_after(age: 60_000), :<, 10 # it takes 0.1 s
  end

  def test_it_stops_at_once_when_its_clients_have_gone
    assert_operator stop_after(age: 60_000) { connect.close }, :<, 10
  end

  def test_it_serves_an_idle_client_until_its_connection_is_renewed
    channel = nil
    assert_includes 0.5..10, stop_after(age: 1000) { channel = connect } # the connection lives for 0.9 s at least
  ensure
    channel&.close
  end

  def test_it_waits_for_a_client_that_never_leaves_no_longer_than_it_must
    silent = nil
    # grpc waits for its handshake as for a call.
    seconds = stop_after(age: 500, grace: 0.1) { silent = UNIXSocket.new(@path) }
    assert_includes 0.5..10, seconds # 1.3 ages, and the grace
  ensure
    silent&.close
  end

  def test_it_waits_for_no_longer_age_than_the_usual_one
    channel = nil
    assert_includes 1..10, stop_after(age: 60_000, grace: 0.1) { channel = connect }
  ensure
    channel&.close
  end

  def test_a_call_in_progress_finishes
    calling(server(service = Waiting.new(stubborn: false))) do |call, server|
      service.begun.pop
      stopping = Thread.new { seconds { server.stop } }
      sleep(0.01) while File.exist?(@path)
      service.ends << true
      assert_equal :SERVING, call.value.status
      assert_operator stopping.value, :<, 5
    end
  end

  def test_a_handler_that_resists_is_waited_for_no_longer_than_the_grace
    calling(server(service = Waiting.new(stubborn: true), grace: 0.1)) do |call, server|
      service.begun.pop
      assert_includes 0.1..10, (seconds { server.stop })
      assert_raises(GRPC::BadStatus) { call.value }
    ensure
      2.times { service.ends << true }
    end
  end

  private

  # Starts a server, does something, and returns how many seconds the stop takes after it.
  def stop_after(age:, grace: 5)
    server = server(grace:, args: { 'grpc.max_connection_age_ms' => age }).tap(&:start)
    yield if block_given?
    seconds { server.stop }
  end

  def connect
    Samehost.channel(@path, wait: 10)
  end

  # Makes a call of Waiting in a thread of its own.
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
