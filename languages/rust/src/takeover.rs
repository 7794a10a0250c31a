//! Hands a path over from a running server to its successor, as PROTOCOL.md describes under Takeover.
//!
//! Both connect over `<path>.takeover` and send lines of JSON. Either side cancels the takeover by closing the
//! connection.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};
use tokio_stream::StreamExt;
use tokio_util::codec::{Framed, LinesCodec};

use crate::{ListenError, address::MAX_PATH_BYTES, error::reason};

/// How long a server may take to release its lock. It needs less than a millisecond.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a successor may be silent while the lock is free. It tries to take the lock for 2 s.
const SILENCE_TIME: Duration = Duration::from_secs(5);

/// The pause after a failed accept(2). It fails at once for as long as the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const MAX_LINE_BYTES: usize = 4096;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Message {
    Released,
    Published,
}

/// Returns `<path>.takeover`, where a server listens for successors, or None if it is too long for a socket.
pub fn control_path(path: &Path) -> Option<PathBuf> {
    let mut control = path.as_os_str().to_owned();
    control.push(".takeover");
    (control.len() <= MAX_PATH_BYTES).then(|| control.into())
}

/// Listens on a socket to which only the user of this server can connect, because a successor makes the server stop.
/// The path must be private, because bind(2) gives the socket mode 0777 minus the umask.
pub fn listen(private: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(private)?;
    fs::set_permissions(private, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A connection to the server that has released its lock. When it is dropped, that server takes the lock again and
/// continues to serve.
#[derive(Debug)]
pub struct Predecessor(Peer);

impl Predecessor {
    pub async fn ask_to_release(path: &Path) -> Result<Self, ListenError> {
        let failed = |fault| ListenError::Takeover { path: path.to_owned(), fault };
        let Some(control) = control_path(path) else {
            return Err(failed("its name leaves no room for .takeover; stop its server and start this one".into()));
        };
        let no_answer = |cause: io::Error| {
            let (control, reason) = (control.display(), reason(&cause));
            failed(match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
                    "no server listens on {control}, so its server allows no takeover, or is starting or stopping; \
                     stop its server and start this one"
                ),
                _ => format!(
                    "its server does not answer on {control}: {reason}; \
                     stop it, or kill it if it is blocked, and start this one"
                ),
            })
        };
        let mut peer = Peer::new(UnixStream::connect(&control).await.map_err(no_answer)?);
        match timeout(ANSWER_TIME, peer.receive()).await {
            Ok(Some(Message::Released)) => Ok(Self(peer)),
            // A server that stops closes the connections of successors that wait.
            Ok(_) => Err(failed("its server is stopping, or another server is taking over; try again".into())),
            Err(_) => Err(no_answer(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Makes the server drain and stop.
    pub async fn tell_published(mut self) {
        let _ = self.0.send(&Message::Published).await; // this fails only if that server has stopped already
    }
}

/// A connection from a server that wants the path. When it is dropped, the takeover fails.
#[derive(Debug)]
pub struct Successor(Peer);

/// The answer of a successor.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It serves at the path.
    Published,
    /// It failed, died, or sent an unknown message.
    Failed,
    /// It is starting or blocked.
    Nothing,
}

impl Successor {
    /// Waits for the next successor. Cancel safe.
    pub async fn accept(listener: &UnixListener) -> Self {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Self(Peer::new(connection)),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    pub async fn tell_released(&mut self) -> io::Result<()> {
        self.0.send(&Message::Released).await
    }

    /// Waits up to 5 s for an answer.
    pub async fn answer(&mut self) -> Answer {
        match timeout(SILENCE_TIME, self.0.receive()).await {
            Ok(Some(Message::Published)) => Answer::Published,
            Ok(_) => Answer::Failed,
            Err(_) => Answer::Nothing,
        }
    }
}

/// The other end of a connection.
#[derive(Debug)]
struct Peer(Framed<UnixStream, LinesCodec>);

impl Peer {
    fn new(connection: UnixStream) -> Self {
        Self(Framed::new(connection, LinesCodec::new_with_max_length(MAX_LINE_BYTES)))
    }

    async fn send(&mut self, message: &Message) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.0.get_mut().write_all(&line).await
    }

    /// Waits for the next message. Returns None if the connection ends or the line is not a message. Cancel safe.
    async fn receive(&mut self) -> Option<Message> {
        let line = self.0.next().await?.ok()?;
        serde_json::from_str(&line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(line: &[u8]) -> Answer {
        let (server, mut client) = UnixStream::pair().unwrap();
        client.write_all(line).await.unwrap();
        drop(client);
        Successor(Peer::new(server)).answer().await
    }

    #[tokio::test]
    async fn any_message_other_than_published_is_a_failure() {
        assert_eq!(answer(b"{\"event\":\"published\"}\n").await, Answer::Published);
        let nested = [b"[".repeat(4000).as_slice(), b"\n"].concat();
        for line in [&b"{}\n"[..], b"\xff\n", b"{\"event\":\"released\"}\n", b"", &nested, &[b'x'; 10_000]] {
            assert_eq!(answer(line).await, Answer::Failed, "{}", line.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_line_can_arrive_in_parts() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let mut peer = Peer::new(server);
        client.write_all(b"{\"event\":").await.unwrap();
        timeout(Duration::from_millis(50), peer.receive()).await.unwrap_err();
        client.write_all(b"\"published\"}\n").await.unwrap();
        assert_eq!(peer.receive().await, Some(Message::Published));
    }
}
