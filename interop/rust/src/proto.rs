//! The stubs that `build.rs` generates from the `proto` folder of the repository.

#![allow(clippy::pedantic, deprecated)]

pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");

include!(concat!(env!("OUT_DIR"), "/proto.rs"));
