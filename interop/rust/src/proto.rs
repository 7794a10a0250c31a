//! The stubs, which `build.rs` generates from the repository's `proto` folder into the build's own.

#![allow(clippy::pedantic, deprecated)]

pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");

include!(concat!(env!("OUT_DIR"), "/proto.rs"));
