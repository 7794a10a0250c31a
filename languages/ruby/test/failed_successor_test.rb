# frozen_string_literal: true

require_relative 'listeners'

# Successors that do not publish after the server released its lock.
class FailedSuccessorTest < Minitest::Test
  include Listeners

  def test_resumes_after_a_disconnect_or_an_invalid_message
    old = publish
    ['', '[' * 4000, "{}\n", "\xFF\n", "{\"event\":\"\xFF\"}\n", 'x' * 10_000].each do |text|
      dial { |connection| connection.write(text) }
      await_lock
    end
    refute old.lost?
  end

  def test_disconnects_a_silent_successor_without_the_lock
    publish
    with_silence(0.1) do
      dial do |connection|
        await_lock
        assert_nil connection.gets
      end
      assert_includes @warnings.string, "a takeover of #{@path} failed"
    end
  end

  def test_waits_for_a_silent_successor_with_the_lock
    publish
    with_silence(0.1) do
      dial do |connection|
        lock = take_lock
        sleep(0.5)
        assert_nil connection.wait_readable(0)
        lock.release
      end
      await_lock
    end
  end

  def test_restores_names_that_a_dead_successor_took
    old = publish
    [[], ['.takeover'], ['.takeover', ''], ['']].each do |suffixes|
      dial do
        lock = take_lock
        suffixes.each { |suffix| replace_by_stale("#{@path}#{suffix}") }
        lock.release
      end
      await_lock
      refute old.lost?
    end
    publish(takeover: true).withdraw
    old.withdraw
    assert_equal %w[app.sock.lock], Dir.children(@folder)
  end

  def test_a_stop_keeps_the_names_if_the_successor_has_the_lock
    old = publish
    dial do
      lock = take_lock
      old.withdraw
      lock.release
    end
    assert_equal %w[app.sock app.sock.lock app.sock.takeover], Dir.children(@folder).sort
  end

  def test_a_stop_removes_the_names_if_the_successor_has_no_lock
    old = publish
    dial { old.withdraw }
    assert_equal %w[app.sock.lock], Dir.children(@folder)
  end

  def test_retries_without_a_free_descriptor
    control = UNIXServer.new("#{@folder}/control")
    failures = [Errno::EMFILE, Errno::ENFILE]
    control.define_singleton_method(:accept) { failures.empty? ? super() : raise(failures.shift) }
    taken_over = Queue.new
    Samehost::Takeover::Successors.new(@path, control, Struct.new(:release).new(true), nil) { taken_over << true }
    UNIXSocket.open("#{@folder}/control") do |connection|
      connection.puts(JSON.generate(event: 'published'))
      assert taken_over.pop
    end
  end

  private

  # Waits until the server holds the lock again.
  def await_lock
    loop do
      take_lock.release
      sleep(0.01)
    end
  rescue Samehost::InUseError
    nil
  end

  def replace_by_stale(path)
    UNIXServer.new("#{@folder}/own").close
    File.rename("#{@folder}/own", path)
  end

  def with_silence(seconds)
    original = Samehost::Takeover::SILENCE_SECONDS
    replace_silence(seconds)
    yield
  ensure
    replace_silence(original)
  end

  def replace_silence(seconds)
    Samehost::Takeover.send(:remove_const, :SILENCE_SECONDS)
    Samehost::Takeover.const_set(:SILENCE_SECONDS, seconds)
  end
end
