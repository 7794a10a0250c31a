"""Lists the official interop cases of the matrix."""

CASES = (
    "empty_unary",
    "large_unary",
    "client_compressed_unary",
    "server_compressed_unary",
    "client_streaming",
    "client_compressed_streaming",
    "server_streaming",
    "server_compressed_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "rpc_soak",
    "channel_soak",
    "cacheable_unary",
    "concurrent_large_unary",
    "half_duplex",
    "pick_first_unary",
    "orca_per_rpc",
    "orca_oob",
)
"""All cases of grpc/grpc doc/interop-test-descriptions.md, in the order in which a client runs them. Six cases are left
out, because they need Google credentials and a production server: compute_engine_creds, jwt_token_creds,
oauth2_auth_token, per_rpc_creds, google_default_credentials and compute_engine_channel_credentials."""
