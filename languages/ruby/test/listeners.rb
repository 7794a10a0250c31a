# frozen_string_literal: true

require_relative 'paths'

# Listeners on a path in a folder of their own, which lasts as long as a test.
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

  # Serves until the test ends, when the collector closes the socket.
  def publish(**options, &handed_over)
    listener(**options).tap do |listener|
      @server = UNIXServer.new(listener.claim)
      listener.publish { handed_over&.call }
    end
  end

  # Whatever file somebody has at the path is theirs.
  def assert_refused_and_kept(path, error_class, reason)
    File.write(path, 'dear diary')
    error = assert_raises(error_class) { listener.claim }
    assert_includes error.message, "#{path} #{reason}"
    assert_equal 'dear diary', File.read(path)
  end

  # Connects as a successor does, which has been told that the lock is free.
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
