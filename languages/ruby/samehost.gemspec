# frozen_string_literal: true

require_relative 'lib/samehost/version'

Gem::Specification.new do |spec|
  spec.name = 'samehost'
  spec.version = Samehost::VERSION
  spec.summary = 'gRPC between programs on one machine, over a Unix domain socket'
  spec.description = 'Listens and dials on Unix domain sockets for gRPC: one server at a path, no stale file, ' \
                     'and no call lost when a server is replaced.'
  spec.authors = ['The samehost authors']
  spec.license = 'Apache-2.0'
  spec.files = Dir['lib/**/*.rb', 'LICENSE', 'README.md', base: __dir__]
  spec.required_ruby_version = '>= 3.1'
  spec.metadata['rubygems_mfa_required'] = 'true'

  spec.add_dependency 'grpc', '~> 1.51'
  spec.add_dependency 'logger', '~> 1.5'
end
