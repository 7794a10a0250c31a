//! Why a server can't be reached, told apart and said in one line with the remedy.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use crate::{
    AddressError, SocketAddress,
    probe::{PathState, describe_permissions, path_state},
};

/// How long a server may take to send its first frame; on one machine it takes less than a millisecond.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const FRAME_HEADER_BYTES: usize = 9;
const TYPE_OFFSET: usize = 3;
const SETTINGS: u8 = 4;

/// Why no gRPC server answers at a path. Each message names the path, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("no socket at {path}: there is no folder {folder}; create it or mount it here")]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("no socket at {path}: start its server, or mount the folder that it serves in")]
    NoSocket { path: PathBuf },
    /// A server that was killed has left its file.
    #[error("nobody listens on {path}: its server is gone; start it again and it replaces the file")]
    Stale { path: PathBuf },
    #[error(
        "no permission to connect to {path}: {permissions}; connecting takes write permission: run in that group, \
         or give the socket another group or mode"
    )]
    Forbidden { path: PathBuf, permissions: String },
    #[error("{path} is not a socket; give the path that the server was started with")]
    NotASocket { path: PathBuf },
    /// A server listens that does not speak HTTP/2, or nothing at all.
    #[error("what listens on {path} {fault}")]
    NotGrpc { path: PathBuf, fault: String },
    /// The system's error is a part of the message, and so no `source()`.
    #[error("cannot look at {path}: {cause}; check the folder it is in")]
    Io { path: PathBuf, cause: io::Error },
}

impl ConnectError {
    /// Whether a server that starts later could help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NoFolder { .. } | Self::NoSocket { .. } | Self::Stale { .. } | Self::NotGrpc { .. })
    }
}

/// Finds out why calls to a path fail, or that a server which speaks HTTP/2 answers there. It connects, and waits for
/// the server for up to 1 s.
///
/// # Errors
///
/// [`ConnectError`], the reason.
pub async fn diagnose(path: impl AsRef<Path>) -> Result<(), ConnectError> {
    let address = SocketAddress::new(path)?;
    let path = address.path().to_owned();
    match path_state(&path).await {
        Ok(PathState::Live) => shake_hands(path).await,
        Ok(PathState::Absent) => Err(match path.parent() {
            Some(folder) if !folder.is_dir() => ConnectError::NoFolder { folder: folder.to_owned(), path },
            _ => ConnectError::NoSocket { path },
        }),
        Ok(PathState::Stale) => Err(ConnectError::Stale { path }),
        Ok(PathState::Forbidden) => Err(ConnectError::Forbidden { permissions: describe_permissions(&path), path }),
        Ok(PathState::NotASocket) => Err(ConnectError::NotASocket { path }),
        Err(cause) => Err(ConnectError::Io { path, cause }),
    }
}

/// Opens a connection of its own and reads the first frame: hyper takes a connection for good before it has seen one,
/// so a channel that is connected says nothing about who is on the other end.
async fn shake_hands(path: PathBuf) -> Result<(), ConnectError> {
    let mut answer = Vec::new();
    let read = timeout(HANDSHAKE, async {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(PREFACE).await?;
        stream.take(FRAME_HEADER_BYTES as u64).read_to_end(&mut answer).await
    });
    let fault = match read.await {
        Ok(Ok(FRAME_HEADER_BYTES)) if answer[TYPE_OFFSET] == SETTINGS => return Ok(()),
        Ok(Ok(_)) => format!(
            "does not speak HTTP/2: it began with \"{}\"; give the path of a gRPC server without TLS",
            answer.escape_ascii()
        ),
        Ok(Err(cause)) => format!("hung up: {cause}; see whether it is a gRPC server"),
        Err(_) => {
            format!("did not speak within {HANDSHAKE:?}; see whether it is a gRPC server, and whether it hangs")
        }
    };
    Err(ConnectError::NotGrpc { path, fault })
}
