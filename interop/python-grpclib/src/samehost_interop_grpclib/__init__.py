"""The grpclib peer of the interop matrix: gRPC in pure Python over a Unix socket."""
