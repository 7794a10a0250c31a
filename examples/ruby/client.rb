# frozen_string_literal: true

# A gRPC client on a Unix domain socket: ruby -I generated client.rb PATH NAME

require 'grpc'
require 'samehost/greeter/v1/greeter_services_pb'

path, name = ARGV
# Without this argument, newer releases of gRPC send the path as :authority, and servers in C# and Rust refuse it.
channel_args = { 'grpc.default_authority' => 'localhost' }
greeter = Samehost::Greeter::V1::GreeterService::Stub.new(
  "unix:#{path}", :this_channel_is_insecure, channel_args:, timeout: 5
)
puts greeter.greet(Samehost::Greeter::V1::GreetRequest.new(name:)).message
