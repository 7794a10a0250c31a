# frozen_string_literal: true

require_relative 'paths'

# What a client learns of a path where no gRPC server is.
class ChannelTest < Minitest::Test
  include Paths

  def test_a_server_that_is_not_there_is_waited_for
    assert_nothing_there Samehost::NoServerError, 'no socket at'
    UNIXServer.new(@path).close
    assert_nothing_there Samehost::NoServerError, 'nobody listens on'
  end

  def test_a_folder_that_is_missing_is_named
    error = Samehost.diagnose("#{@folder}/missing/app.sock")
    assert_includes error.message, "there is no folder #{@folder}/missing"
  end

  def test_what_waiting_can_not_cure_is_not_waited_for
    File.write(@path, '')
    assert_raises(Samehost::NotASocketError) { Samehost.channel(@path, wait: 60) }
    assert_instance_of Samehost::NotASocketError, Samehost.diagnose(@path)
  end

  def test_what_does_not_speak_http2_is_no_grpc_server
    UNIXServer.open(@path) do |server|
      assert_includes assert_not_grpc.message, 'did not speak within 1 s'
      2.times { server.accept.close }
      Thread.new { Array.new(2) { server.accept }.last.write('220 mail.example.com ESMTP') }
      assert_includes assert_not_grpc.message, 'it began with "220 mail'
    end
  end

  def test_an_invalid_address_is_refused
    assert_raises(Samehost::AddressError) { Samehost.channel('app.sock') }
    assert_raises(Samehost::AddressError) { Samehost.diagnose('app.sock') }
  end

  def test_a_block_gets_a_channel_that_is_closed_after_it
    channel = nil
    assert_equal(:done, Samehost.channel(@path) do |given|
      channel = given
      :done
    end)
    assert_raises(RuntimeError) { channel.connectivity_state } # it is closed
  end

  private

  def assert_nothing_there(error_class, reason)
    error = assert_raises(error_class) { Samehost.channel(@path, wait: 0.1) }
    assert_includes error.message, "#{reason} #{@path}"
    assert_instance_of error_class, Samehost.diagnose(@path)
  end

  def assert_not_grpc
    Samehost.diagnose(@path).tap { |error| assert_instance_of Samehost::NotGRPCError, error }
  end
end
