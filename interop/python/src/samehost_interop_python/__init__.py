"""The Python peer of the interop matrix: grpc.testing as server and as client, synchronous and asyncio."""
