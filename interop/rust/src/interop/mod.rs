//! gRPC's official interop cases (grpc/grpc doc/interop-test-descriptions.md), as client and as server.

mod cases;
mod checks;
mod compression;
mod duplex;
pub mod orca;
mod requests;
pub mod runner;
pub mod service;
mod trailers;

pub use cases::Case;

/// Metadata that a client sends. `UnaryCall` and `FullDuplexCall` return it, in the headers and in the trailers.
const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";
