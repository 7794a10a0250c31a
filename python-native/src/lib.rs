//! HTTP/2 and gRPC for `samehost_native`. The classes for Python are in `client` and `server`.

mod authority;
mod client;
mod io;
mod keepalive;
mod keeper;
mod link;
mod message;
mod python;
mod reactor;
mod server;
mod status;
mod tls;
mod workers;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The engine.
#[pymodule]
mod _engine {
    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    use crate::client::{Channel, ClientCall};
    #[pymodule_export]
    use crate::server::{Server, ServerCall};
    #[pymodule_export]
    use crate::status::MetadataError;
    #[pymodule_export]
    use crate::tls::{ClientTls, ServerTls};
}
