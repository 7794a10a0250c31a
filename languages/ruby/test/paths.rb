# frozen_string_literal: true

require 'minitest/autorun'
require 'socket'
require 'tmpdir'
require 'samehost'

# A path for a socket in a temporary folder.
module Paths
  def setup
    @folder = Dir.mktmpdir
    @path = "#{@folder}/app.sock"
    @warnings = StringIO.new
  end

  def teardown
    FileUtils.remove_entry(@folder)
  end

  private

  def seconds
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
  end
end
