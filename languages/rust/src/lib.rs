//! Listens and dials on Unix domain sockets, for gRPC servers and clients on one machine with [tonic].
//!
//! The other side may use any language whose library follows PROTOCOL.md of the project samehost. This server stops
//! without losing a call:
//!
//! ```no_run
//! use std::{error::Error, future::pending, time::Duration};
//!
//! use samehost::{Options, listen};
//! use tokio::signal::unix::{SignalKind, signal};
//! use tonic::transport::server::Router;
//!
//! async fn serve(router: Router) -> Result<(), Box<dyn Error>> {
//!     let mut terminate = signal(SignalKind::terminate())?;
//!     let listener = listen("/run/app/app.sock", Options::default()).await?;
//!     let server = tokio::spawn(router.serve_with_incoming_shutdown(listener.incoming(), pending()));
//!     terminate.recv().await;
//!     let _ = listener.drain(server, Duration::from_secs(5)).await;
//!     Ok(())
//! }
//! ```
//!
//! A client passes the [`Channel`] of [`dial`] to its stub. [`diagnose`] returns the reason why a call failed to
//! connect.
//!
//! [tonic]: https://docs.rs/tonic

mod address;
mod authority;
mod client_stream;
mod connection;
mod deadline;
mod diagnose;
mod dial;
mod error;
mod folder;
mod listen;
mod lock;
mod options;
mod probe;
mod public_name;
mod replay;
mod takeover;
mod watch;

pub use address::{AddressError, AddressFault, SocketAddress};
pub use connection::Connection;
pub use deadline::{DeadlineLayer, EndsAtDeadline};
pub use diagnose::{ConnectError, diagnose};
pub use dial::{Channel, dial, dial_with};
pub use error::ListenError;
pub use listen::{Event, Listener, listen};
pub use options::{Options, Takeover};
