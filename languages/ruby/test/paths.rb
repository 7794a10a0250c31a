# frozen_string_literal: true

require 'minitest/autorun'
require 'socket'
require 'tmpdir'
require 'samehost'

# A path for a socket, in a folder that lasts as long as a test.
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
    begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun
  end
end
