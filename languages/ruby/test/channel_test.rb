# frozen_string_literal: true

require_relative 'paths'

# Errors of a client on a path without a gRPC server.
class ChannelTest < Minitest::Test
  include Paths

  def test_waits_for_an_absent_or_stale_server
    assert_no_server 'no socket exists'
    UNIXServer.new(@path).close
    assert_no_server 'no server listens'
  end

  def test_names_a_missing_folder
    error = Samehost.diagnose("#{@folder}/missing/app.sock")
    assert_includes error.message, "the folder #{@folder}/missing"
  end

  def test_does_not_wait_if_waiting_cannot_help
    File.write(@path, '')
    assert_raises(Samehost::NotASocketError) { Samehost.channel(@path, wait: 60) }
    assert_instance_of Samehost::NotASocketError, Samehost.diagnose(@path)
  end

  def test_detects_a_silent_server
    UNIXServer.open(@path) { assert_not_grpc 'sent nothing' }
  end

  def test_detects_a_server_that_closes_the_connection_or_speaks_another_protocol
    UNIXServer.open(@path) do |server|
      Thread.new { Array.new(2) { server.accept }.each(&:close) }
      assert_not_grpc 'closed the connection'
      Thread.new { Array.new(2) { server.accept }.last.write('220 mail.example.com ESMTP') }
      assert_not_grpc '"220 mail'
    end
  end

  def test_refuses_an_invalid_address
    assert_raises(Samehost::AddressError) { Samehost.channel('app.sock') }
    assert_raises(Samehost::AddressError) { Samehost.diagnose('app.sock') }
  end

  def test_closes_the_channel_after_the_block
    channel = nil
    assert_equal(:done, Samehost.channel(@path) do |given|
      channel = given
      :done
    end)
    assert_raises(RuntimeError) { channel.connectivity_state } # because the channel is closed
  end

  private

  def assert_no_server(reason)
    error = assert_raises(Samehost::NoServerError) { Samehost.channel(@path, wait: 0.1) }
    assert_includes error.message, @path
    assert_includes error.message, reason
    assert_instance_of Samehost::NoServerError, Samehost.diagnose(@path)
  end

  def assert_not_grpc(reason)
    error = Samehost.diagnose(@path)
    assert_instance_of Samehost::NotGRPCError, error
    assert_includes error.message, reason
  end
end
