//! Generates the stubs with protox, a protobuf compiler in Rust, so that `protoc` is not needed.

use std::{env, error::Error, fs, path::PathBuf};

const PROTO: &str = "../../proto";
const FILES: [&str; 3] =
    ["samehost/greeter/v1/greeter.proto", "samehost/interop/testing.proto", "samehost/interop/orca_service.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rustc-env=TONIC_VERSION={}", tonic_version()?);

    let descriptors = protox::compile(FILES, [PROTO])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .bytes(".") // share payloads instead of copying them
        .generate_default_stubs(true) // methods that a service does not have return UNIMPLEMENTED
        .include_file("proto.rs")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Reads the version of tonic from Cargo.lock for the ready line, because tonic has no constant for it.
fn tonic_version() -> Result<String, Box<dyn Error>> {
    let lock = fs::read_to_string("Cargo.lock")?;
    let (_, package) = lock.split_once("name = \"tonic\"\nversion = \"").ok_or("Cargo.lock has no tonic")?;
    Ok(package.chars().take_while(|c| *c != '"').collect())
}
