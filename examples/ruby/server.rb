# frozen_string_literal: true

# A gRPC server on a Unix domain socket: ruby -I generated server.rb [PATH]

require 'grpc'
require 'samehost/greeter/v1/greeter_services_pb'

# Greets people by name.
class Greeter < Samehost::Greeter::V1::GreeterService::Service
  def greet(request, _call)
    Samehost::Greeter::V1::GreetResponse.new(message: "Hello, #{request.name}!")
  end
end

path = ARGV.fetch(0, '/tmp/greeter.sock')
server = GRPC::RpcServer.new
server.add_http2_port("unix:#{path}", :this_port_is_insecure) # removes an existing socket file
server.handle(Greeter)
puts "listening on #{path}"
$stdout.flush
server.run_till_terminated
