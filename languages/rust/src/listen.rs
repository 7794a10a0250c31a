//! A safe listener, as PROTOCOL.md has it: the file of its socket is private, then public, then removed.
//!
//! The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
//! there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
//! never one with a wider mode: a `chmod` after `bind` on the path itself leaves a window for both.
//!
//! Everything is named relative to folders that are held open: another user who may write to the folder can replace what
//! he finds there, and still can't make the server change or remove a file of somebody else.

mod drain;
mod handover;
#[cfg(test)]
mod tests;

use std::{
    fs, io, mem,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

pub use self::handover::Event;
use self::handover::Hold;
use crate::{
    ListenError, Options, SocketAddress, Takeover,
    folder::{Folder, PrivateFolder, private_prefix, sweep},
    lock::Lock,
    probe::{PathState, path_state},
    public_name::{Found, PublicName, look},
    takeover::{self, Predecessor, control_path},
};

/// How long to try for a lock that was just released: a third server may hold it while it finds the path live.
const RELEASED_LOCK_TIME: Duration = Duration::from_secs(2);

/// A server's hold on a path. It starts no task: successors are answered while [`next_event`](Self::next_event) is awaited.
///
/// Dropping it removes the path, if that is still its own, and ends [`incoming`](Self::incoming). Nobody else removes the
/// file: unix(7) leaves it to the caller, and neither tokio's listener nor tonic does it.
#[derive(Debug)]
pub struct Listener {
    place: Place,
    socket: Arc<UnixListener>,
    stopping: CancellationToken,
    hold: Hold,
    /// Where successors dial.
    successors: Option<UnixListener>,
    is_watched: bool,
}

/// Listens on a path, or an address `unix:/absolute/path`, and returns when clients can connect. It replaces the file of a
/// server that was killed. With [`Takeover::Replace`] it may wait for seconds.
///
/// Calls wait until [`Listener::incoming`] is served, so do slow work before.
///
/// # Errors
///
/// [`ListenError`]; the path is left as it was.
pub async fn listen(path: impl AsRef<Path>, options: Options) -> Result<Listener, ListenError> {
    let place = Place::new(&SocketAddress::new(path)?, options)?;
    Bound::new(place).await?.publish().await
}

/// A listener that no client finds yet. Its fields are dropped in this order: the folder while the path is locked, and
/// the predecessor last, so that it finds the lock released.
struct Bound {
    private: PrivateFolder,
    listener: Listener,
    found: Option<Found>,
    predecessor: Option<Predecessor>,
}

impl Bound {
    async fn new(place: Place) -> Result<Self, ListenError> {
        let (predecessor, found, lock) = place.claim().await?;
        // A predecessor keeps names of its sockets in such a folder.
        if predecessor.is_none() {
            sweep(&place.folder, &place.private_prefix());
        }
        let folder = place.path.parent().unwrap_or(&place.path);
        let failed = |action, remedy| ListenError::io(action, &place.path, folder, remedy);
        let private = place
            .create_private_folder()
            .map_err(failed("create a private folder beside", "let this process write there"))?;
        let (socket, successors) = place.bind(&private).map_err(failed(
            "bind a socket beside",
            "check that its folder is on a file system with sockets and has space",
        ))?;
        let (socket, stopping) = (Arc::new(socket), CancellationToken::new());
        let listener = Listener { place, socket, stopping, hold: Hold::Held(lock), successors, is_watched: true };
        Ok(Self { private, listener, found, predecessor })
    }

    /// Gives the socket its mode and group and renames it onto the path.
    async fn publish(mut self) -> Result<Listener, ListenError> {
        self.listener.place.publish(&self.private, self.found)?;
        drop(self.private); // before a successor can have the lock, as the folder is its own then
        if let Some(predecessor) = self.predecessor {
            predecessor.tell_published().await;
        }
        Ok(self.listener)
    }
}

/// A path, its folder, and how to serve there.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    options: Options,
    folder: Folder,
    public: PublicName,
    /// Of the socket for successors; none where there can be none.
    control: Option<PublicName>,
}

impl Place {
    fn new(address: &SocketAddress, options: Options) -> Result<Self, ListenError> {
        let path = address.path();
        let folder = Folder::of_socket(path, options.trust_folder)?;
        let name = |path: &Path| PublicName::new(&folder, path.file_name().unwrap_or_default().to_owned());
        let control = control_path(path).filter(|_| options.takeover != Takeover::Never).as_deref().map(name);
        Ok(Self { path: path.to_owned(), public: name(path), control, options, folder })
    }

    /// Locks the path, and makes sure that nothing is there but, perhaps, a stale socket, or a server that hands it over.
    ///
    /// The lock comes first: what the path looks like says nothing about a server that is just starting.
    async fn claim(&self) -> Result<(Option<Predecessor>, Option<Found>, Lock), ListenError> {
        let error = match self.take_lock() {
            Ok(lock) => match self.look(false).await {
                Ok(found) => return Ok((None, found, lock)),
                Err(error) => error, // which releases the lock, for which a server may wait that has lost the file
            },
            Err(error) => error,
        };
        if !matches!(error, ListenError::InUse { .. }) || self.options.takeover != Takeover::Replace {
            return Err(error);
        }
        let predecessor = Predecessor::ask_to_release(&self.path).await?;
        let lock = Lock::take_within(RELEASED_LOCK_TIME, &self.folder, &self.path, &self.options.owner).await?;
        let found = self.look(true).await?;
        Ok((Some(predecessor), found, lock))
    }

    /// Refuses anything at the path but a stale socket, or a server that hands it over, and returns what it is.
    async fn look(&self, is_handed_over: bool) -> Result<Option<Found>, ListenError> {
        let path = self.path.clone();
        let found = look(&self.public.path()).ok();
        let failed = |action, remedy| ListenError::io(action, &self.path, &self.path, remedy);
        let state = path_state(&path).await.map_err(failed("look at", "check the folder it is in"))?;
        match state {
            PathState::Absent | PathState::Stale => {}
            PathState::Live if is_handed_over => {}
            PathState::Live => {
                let holder = format!("someone answers there without holding {}.lock", path.display());
                return Err(ListenError::InUse { path, holder });
            }
            PathState::NotASocket => return Err(ListenError::NotASocket { path }),
            PathState::Forbidden => {
                let failed = failed("ask for a server at", "remove the file if nobody serves there");
                return Err(failed(io::ErrorKind::PermissionDenied.into()));
            }
        }
        match self.control.as_ref().map(|control| fs::symlink_metadata(control.path())) {
            Some(Ok(found)) if !found.file_type().is_socket() => {
                Err(ListenError::NotASocket { path: control_path(&path).unwrap_or(path) })
            }
            _ => Ok(found),
        }
    }

    /// Binds the socket for clients and the one for successors.
    fn bind(&self, private: &PrivateFolder) -> io::Result<(UnixListener, Option<UnixListener>)> {
        let successors = self.control.as_ref().map(|_| takeover::listen(&private.control())).transpose()?;
        let socket = net::UnixListener::bind(private.socket())?;
        socket.set_nonblocking(true)?;
        Ok((UnixListener::from_std(socket)?, successors))
    }

    fn publish(&mut self, private: &PrivateFolder, before: Option<Found>) -> Result<(), ListenError> {
        if look(&self.public.path()).is_ok_and(|now| Some(now) != before) {
            return Err(ListenError::Changed { path: self.path.clone() });
        }
        let remedy = "only a group that this process is in can be given";
        self.try_publish(private).map_err(ListenError::io("publish", &self.path, &self.path, remedy))
    }

    /// If this fails, or the process dies before the last step, a predecessor still has its path.
    fn try_publish(&mut self, private: &PrivateFolder) -> io::Result<()> {
        if self.options.group.is_some() {
            chown(private.socket(), None, self.options.group)?;
        }
        fs::set_permissions(private.socket(), fs::Permissions::from_mode(self.options.mode))?;
        if let Some(control) = &mut self.control {
            control.take_from(&private.control())?;
        }
        self.public.take_from(&private.socket())
    }

    fn take_lock(&self) -> Result<Lock, ListenError> {
        Lock::take(&self.folder, &self.path, &self.options.owner)
    }

    fn create_private_folder(&self) -> io::Result<PrivateFolder> {
        PrivateFolder::create(&self.folder, &self.private_prefix())
    }

    fn private_prefix(&self) -> String {
        private_prefix(self.path.file_name().unwrap_or_default())
    }

    fn names(&self) -> impl Iterator<Item = &PublicName> {
        self.control.iter().chain([&self.public])
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.successors = None; // hangs up on those that wait
        let lock = match mem::replace(&mut self.hold, Hold::TakenOver) {
            Hold::Held(lock) => Some(lock),
            // A successor has it, whose the names are then, or has not taken it yet.
            Hold::Lent { .. } => self.place.take_lock().ok(),
            Hold::TakenOver => None,
        };
        if lock.is_some() {
            for name in self.place.names() {
                name.remove_if_own();
            }
        }
    }
}
