# frozen_string_literal: true

require_relative 'lib/samehost/version'

Gem::Specification.new do |spec|
  spec.name = 'samehost'
  spec.version = Samehost::VERSION
  spec.summary = 'gRPC between programs on one machine, over a Unix domain socket'
  spec.description = 'Serves and calls gRPC over Unix domain sockets. It keeps one server on a path, replaces stale ' \
                     'files, and replaces a running server without losing a call.'
  spec.authors = ['The samehost authors']
  spec.license = 'Apache-2.0'
  spec.files = Dir['lib/**/*.rb', 'LICENSE', 'README.md', base: __dir__]
  spec.required_ruby_version = '>= 3.1'
  spec.metadata['rubygems_mfa_required'] = 'true'

  spec.add_dependency 'grpc', '~> 1.51'
  spec.add_dependency 'logger', '~> 1.5'
end
