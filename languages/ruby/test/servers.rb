# frozen_string_literal: true

require_relative 'paths'

# Servers on a path in a temporary folder.
module Servers
  include Paths

  def setup
    super
    @path = "#{@folder}/größer.sock"
    @servers = []
  end

  def teardown
    @servers.each(&:stop)
    super
  end

  private

  def server(*services, **options)
    Samehost::Server.new(@path, logger: Logger.new(@warnings), **options).tap do |server|
      @servers << server
      services.each { |service| server.handle(service) }
    end
  end
end
