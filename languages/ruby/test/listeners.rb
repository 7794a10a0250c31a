# frozen_string_literal: true

require_relative 'paths'

# Listeners on a path in a temporary folder.
module Listeners
  include Paths

  def setup
    super
    @listeners = []
  end

  def teardown
    @listeners.each(&:withdraw)
    super
  end

  private

  def listener(**options)
    Samehost::Listener.new(@path, owner: 'test 1.0', allow_takeover: true, logger: Logger.new(@warnings), **options)
                      .tap { |listener| @listeners << listener }
  end

  # Listens until the test ends, when the garbage collector closes the socket.
  def publish(**options, &taken_over)
    listener(**options).tap do |listener|
      @server = UNIXServer.new(listener.claim)
      listener.publish { taken_over&.call }
    end
  end

  # The file of another program is never changed.
  def assert_refused_and_kept(path, error_class)
    File.write(path, 'dear diary')
    error = assert_raises(error_class) { listener.claim }
    assert_includes error.message, path
    assert_equal 'dear diary', File.read(path)
  end

  # Connects like a successor and waits until the server releases the lock.
  def dial
    UNIXSocket.open("#{@path}.takeover") do |connection|
      assert_equal({ 'event' => 'released' }, JSON.parse(connection.gets))
      yield connection
    end
  end

  def take_lock
    Samehost::SocketLock.new(Samehost::Folder.new(@folder), @path, 'successor')
  end
end
