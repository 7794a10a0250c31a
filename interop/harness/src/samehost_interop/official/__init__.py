"""gRPC's own client images against the servers of the matrix, over a socket in a shared volume."""
