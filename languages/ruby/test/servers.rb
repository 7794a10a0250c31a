# frozen_string_literal: true

require 'minitest/autorun'
require 'tmpdir'
require 'samehost'

# Servers on a path in a folder of their own, which last as long as a test.
module Servers
  def setup
    @folder = Dir.mktmpdir
    @path = "#{@folder}/größer.sock"
    @warnings = StringIO.new
    @servers = []
  end

  def teardown
    @servers.each(&:stop)
    FileUtils.remove_entry(@folder)
  end

  private

  def server(*services, **options)
    Samehost::Server.new(@path, logger: Logger.new(@warnings), **options).tap do |server|
      @servers << server
      services.each { |service| server.handle(service) }
    end
  end
end
