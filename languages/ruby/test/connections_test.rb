# frozen_string_literal: true

require_relative 'paths'

# Whether clients are connected, which servers ask of their own descriptors.
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

  def test_a_listener_alone_has_none
    refute Samehost::Connections.any?(@path)
  end

  def test_one_that_waits_in_the_queue_counts
    UNIXSocket.new(@path).close # its server has still to find that it has gone
    assert Samehost::Connections.any?(@path)
    @listener.accept.close
    refute Samehost::Connections.any?(@path)
  end

  def test_an_accepted_one_counts_by_the_name_that_was_bound
    connected do
      public_path = "#{@folder}/public.sock"
      File.rename(@path, public_path)
      assert Samehost::Connections.any?(@path)
      refute Samehost::Connections.any?(public_path)
    end
    refute Samehost::Connections.any?(@path)
  end

  def test_those_of_other_sockets_do_not_count
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

  def test_descriptors_stay_open_and_none_is_added
    connected do |connection, client|
      before = descriptors
      100.times { Samehost::Connections.any?(@path) }
      GC.start # which closes what nobody uses any more
      assert_empty descriptors - before
      client.write('hello')
      assert_equal 'hello', connection.readpartial(5)
    end
    connected { assert Samehost::Connections.any?(@path) }
  end

  def test_a_system_that_lists_no_descriptors_may_have_a_client
    Dir.stub(:each_child, ->(_) { raise Errno::EMFILE }) { assert Samehost::Connections.any?(@path) }
    File.stub(:directory?, false) { assert Samehost::Connections.any?(@path) }
  end

  def test_none_is_awaited_where_there_is_none
    assert_operator seconds { Samehost::Connections.await_none(@path, 60) }, :<, 1 # it takes 0.01
  end

  def test_one_is_awaited_until_it_has_gone
    connected do |connection|
      leaving = Thread.new do
        sleep(0.1)
        connection.close
      end
      assert_includes 0.1..10, (seconds { Samehost::Connections.await_none(@path, 60) })
      leaving.join
    end
  end

  def test_one_is_awaited_no_longer_than_allowed
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

  # The sockets among them, each with the system's number for it.
  def descriptors
    paths = Dir.children('/proc/self/fd').map { |name| "/proc/self/fd/#{name}" }
    paths.select { |path| File.socket?(path) }.map { |path| [path, File.readlink(path)] }
  end
end
