//! The stubs that build.rs generates.

tonic::include_proto!("samehost.greeter.v1");
