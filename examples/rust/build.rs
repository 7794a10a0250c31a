//! Generates the stubs with protox, a protobuf compiler in Rust, so that `protoc` is not needed.

const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile(["samehost/greeter/v1/greeter.proto"], [PROTO])?;
    tonic_prost_build::configure().generate_default_stubs(true).compile_fds(descriptors)?;
    Ok(())
}
