//! Listens and dials on Unix domain sockets, for gRPC servers and clients of one machine with [tonic].
//!
//! It keeps PROTOCOL.md of the project samehost, so the other side may be of any language. A server serves what
//! [`listen`] gives, and stops without losing a call:
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
//! A client gives the [`Channel`] of [`dial`] to its stub, and [`diagnose`] says why a call met no server.
//!
//! [tonic]: https://docs.rs/tonic

mod address;
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
