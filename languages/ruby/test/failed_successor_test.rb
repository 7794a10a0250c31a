# frozen_string_literal: true

require_relative 'listeners'

# Successors that are told that the lock is free, and do not publish.
class FailedSuccessorTest < Minitest::Test
  include Listeners

  def test_a_successor_that_hangs_up_or_talks_rubbish_has_failed
    old = publish
    ['', '[' * 4000, "{}\n", "\xFF\n", "{\"event\":\"\xFF\"}\n", 'x' * 10_000].each do |rubbish|
      dial { |connection| connection.write(rubbish) }
      await_lock
    end
    refute old.lost?
  end

  def test_a_successor_that_is_silent_without_the_lock_is_hung_up_on
    publish
    with_silence(0.1) do
      dial do |connection|
        await_lock
        assert_nil connection.gets
      end
      assert_includes @warnings.string, "wanted to take #{@path} over said nothing more"
    end
  end

  def test_a_successor_that_is_silent_and_has_the_lock_is_awaited
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

  def test_names_that_a_successor_took_before_it_died_are_taken_back
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

  def test_a_server_that_stops_leaves_its_names_to_a_successor_that_has_the_lock
    old = publish
    dial do
      lock = take_lock
      old.withdraw
      lock.release
    end
    assert_equal %w[app.sock app.sock.lock app.sock.takeover], Dir.children(@folder).sort
  end

  def test_a_server_that_stops_removes_its_names_where_its_successor_has_no_lock
    old = publish
    dial { old.withdraw }
    assert_equal %w[app.sock.lock], Dir.children(@folder)
  end

  def test_a_server_without_a_descriptor_for_a_successor_tries_again
    control = UNIXServer.new("#{@folder}/control")
    failures = [Errno::EMFILE, Errno::ENFILE]
    control.define_singleton_method(:accept) { failures.empty? ? super() : raise(failures.shift) }
    handed_over = Queue.new
    Samehost::Takeover::Successors.new(@path, control, Struct.new(:release).new(true), nil) { handed_over << true }
    UNIXSocket.open("#{@folder}/control") do |connection|
      connection.puts(JSON.generate(event: 'published'))
      assert handed_over.pop
    end
  end

  private

  # Until the server has it again.
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
    usual = Samehost::Takeover::SILENCE_SECONDS
    replace_silence(seconds)
    yield
  ensure
    replace_silence(usual)
  end

  def replace_silence(seconds)
    Samehost::Takeover.send(:remove_const, :SILENCE_SECONDS)
    Samehost::Takeover.const_set(:SILENCE_SECONDS, seconds)
  end
end
