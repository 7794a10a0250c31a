//! The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
//!
//! Both talk over a socket beside the path. Lines of JSON say what has happened; a connection that ends says that the
//! other one is gone, so both sides give up by dropping what they have.

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

use crate::{ListenError, address::MAX_PATH_BYTES};

/// How long a server may take to release its lock, which takes it less than a millisecond.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a successor may be silent without the lock, for which it tries for 2 s.
const SILENCE_TIME: Duration = Duration::from_secs(5);

/// For as long as a process has no file descriptor left, accept(2) fails at once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const MAX_LINE_BYTES: usize = 4096;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Message {
    Released,
    Published,
}

/// Where a server listens for its successor; none where the name would be too long for a socket.
pub fn control_path(path: &Path) -> Option<PathBuf> {
    let mut control = path.as_os_str().to_owned();
    control.push(".takeover");
    (control.len() <= MAX_PATH_BYTES).then(|| control.into())
}

/// Listens where only this server's own user may dial: whoever dials can make the server go. The path must be private,
/// as bind(2) gives a socket the mode 0777 less the umask.
pub fn listen(private: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(private)?;
    fs::set_permissions(private, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The server that has the path and has released its lock. Dropped, it takes the lock again and serves on.
#[derive(Debug)]
pub struct Predecessor(Peer);

impl Predecessor {
    pub async fn ask_to_release(path: &Path) -> Result<Self, ListenError> {
        let failed = |fault| ListenError::Takeover { path: path.to_owned(), fault };
        let Some(control) = control_path(path) else {
            return Err(failed("its name leaves no room for .takeover; stop its server".into()));
        };
        let no_answer = |cause| failed(format!("nobody answers at {}: {cause}; stop its server", control.display()));
        let mut peer = Peer::new(UnixStream::connect(&control).await.map_err(no_answer)?);
        match timeout(ANSWER_TIME, peer.receive()).await {
            Ok(Some(Message::Released)) => Ok(Self(peer)),
            // A server that goes resets those that wait.
            Ok(_) => Err(failed("its server goes, or another takes over; try again".into())),
            Err(_) => Err(no_answer(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Makes it drain and go.
    pub async fn tell_published(mut self) {
        let _ = self.0.send(&Message::Published).await; // if it does not hear it, it has gone already
    }
}

/// A server that is to have the path. Dropped, it knows that this one goes, or lets nobody take over for now.
#[derive(Debug)]
pub struct Successor(Peer);

/// What a successor has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It serves at the path.
    Published,
    /// It has failed, died, or says something that no successor does.
    Other,
    /// It is starting, or hangs.
    Nothing,
}

impl Successor {
    /// The next one that dials; cancel safe.
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

    /// Listens to it for some seconds.
    pub async fn listen(&mut self) -> Said {
        match timeout(SILENCE_TIME, self.0.receive()).await {
            Ok(Some(Message::Published)) => Said::Published,
            Ok(_) => Said::Other,
            Err(_) => Said::Nothing,
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

    /// The next message; none where the connection ends or says anything else. Cancel safe.
    async fn receive(&mut self) -> Option<Message> {
        let line = self.0.next().await?.ok()?;
        serde_json::from_str(&line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hears(line: &[u8]) -> Said {
        let (server, mut client) = UnixStream::pair().unwrap();
        client.write_all(line).await.unwrap();
        drop(client);
        Successor(Peer::new(server)).listen().await
    }

    #[tokio::test]
    async fn only_published_is_published() {
        assert_eq!(hears(b"{\"event\":\"published\"}\n").await, Said::Published);
        let nested = [b"[".repeat(4000).as_slice(), b"\n"].concat();
        for rubbish in [&b"{}\n"[..], b"\xff\n", b"{\"event\":\"released\"}\n", b"", &nested, &[b'x'; 10_000]] {
            assert_eq!(hears(rubbish).await, Said::Other, "{}", rubbish.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_line_may_come_in_parts() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let mut peer = Peer::new(server);
        client.write_all(b"{\"event\":").await.unwrap();
        timeout(Duration::from_millis(50), peer.receive()).await.unwrap_err();
        client.write_all(b"\"published\"}\n").await.unwrap();
        assert_eq!(peer.receive().await, Some(Message::Published));
    }
}
