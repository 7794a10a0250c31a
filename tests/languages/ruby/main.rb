# frozen_string_literal: true

# Serves and calls EchoService: ruby -I. main.rb serve PATH, ruby -I. main.rb call PATH TEXT

require 'bundler/setup'
require 'samehost'
require 'echo_services_pb'

# Returns the text of the request.
class EchoService < Echo::V1::EchoService::Service
  def echo(request, _call)
    Echo::V1::EchoResponse.new(text: request.text)
  end
end

def serve(path)
  server = Samehost::Server.new(path)
  server.handle(EchoService)
  %w[TERM INT].each { |signal| trap(signal) { server.request_stop } }
  server.run do
    puts "listening on #{path}"
    $stdout.flush
  end
end

def call(path, text)
  Samehost.channel(path) do |channel|
    stub = Echo::V1::EchoService::Stub.new(nil, nil, channel_override: channel, timeout: 5)
    puts stub.echo(Echo::V1::EchoRequest.new(text:)).text
  rescue GRPC::Unavailable => e
    raise Samehost.diagnose(path) || e # the reason why no server answers, or the status of the call
  end
end

command, path, text = ARGV
command == 'serve' ? serve(path) : call(path, text)
