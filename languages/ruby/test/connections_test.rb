# frozen_string_literal: true

require_relative 'paths'

# Detection of connected clients through the descriptors of the server.
class ConnectionsTest < Minitest::Test
  include Paths

  def setup
    super
    @path = "#{@folder}/größer.sock"
    @listener = UNIXServer.new(@path)
  end

  def teardown
    @listener.close
    super
  end

  def test_a_listener_has_no_connections
    refute Samehost::Connections.any?(@path)
  end

  def test_counts_a_queued_connection
    UNIXSocket.new(@path).close # the server has not accepted it yet
    assert Samehost::Connections.any?(@path)
    @listener.accept.close
    refute Samehost::Connections.any?(@path)
  end

  def test_counts_an_accepted_connection_by_its_bound_path
    connected do
      public_path = "#{@folder}/public.sock"
      File.rename(@path, public_path)
      assert Samehost::Connections.any?(@path)
      refute Samehost::Connections.any?(public_path)
    end
    refute Samehost::Connections.any?(@path)
  end

  def test_ignores_connections_of_other_sockets
    other = "#{@path}2"
    UNIXServer.open(other) do |listener|
      UNIXSocket.open(other) do
        refute Samehost::Connections.any?(@path)
        listener.accept.tap do |connection|
          assert Samehost::Connections.any?(other)
          refute Samehost::Connections.any?(@path)
          connection.close
        end
      end
    end
  end

  def test_keeps_descriptors_open_and_adds_none
    connected do |connection, client|
      before = descriptors
      100.times { Samehost::Connections.any?(@path) }
      GC.start # closes unreachable sockets
      assert_empty descriptors - before
      client.write('hello')
      assert_equal 'hello', connection.readpartial(5)
    end
    connected { assert Samehost::Connections.any?(@path) }
  end

  def test_assumes_a_client_if_the_system_lists_no_descriptors
    Dir.stub(:each_child, ->(_) { raise Errno::EMFILE }) { assert Samehost::Connections.any?(@path) }
    File.stub(:directory?, false) { assert Samehost::Connections.any?(@path) }
  end

  def test_does_not_wait_without_connections
    assert_operator seconds { Samehost::Connections.await_none(@path, 60) }, :<, 1 # takes 0.01 s
  end

  def test_waits_until_a_connection_is_closed
    connected do |connection|
      closing = Thread.new do
        sleep(0.1)
        connection.close
      end
      assert_includes 0.1..10, (seconds { Samehost::Connections.await_none(@path, 60) })
      closing.join
    end
  end

  def test_stops_waiting_at_the_limit
    connected do
      assert_includes 0.1..10, (seconds { Samehost::Connections.await_none(@path, 0.1) })
    end
  end

  private

  def connected
    UNIXSocket.open(@path) do |client|
      connection = @listener.accept
      yield connection, client
    ensure
      connection.close
    end
  end

  # The sockets of this process, each with its inode.
  def descriptors
    paths = Dir.children('/proc/self/fd').map { |name| "/proc/self/fd/#{name}" }
    paths.select { |path| File.socket?(path) }.map { |path| [path, File.readlink(path)] }
  end
end
