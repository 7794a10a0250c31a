//! The life of a socket's file, as PROTOCOL.md has it: private, public, removed. Copy this file to serve on a socket.
//!
//! The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
//! there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
//! never one with a wider mode: a `chmod` after `bind` on the path itself leaves a window for both.
//!
//! Everything is named relative to folders that are held open: another user who may write to the folder can replace what
//! he finds there, and still can't make the server change or remove a file of somebody else.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    fs,
    future::pending,
    io, mem,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use nix::unistd::Gid;
use tokio::{net::UnixListener, select, time::sleep};
use tracing::warn;

use crate::{
    address::SocketAddress,
    folder::{Folder, FolderError, PrivateFolder, private_prefix, sweep},
    lock::{Lock, LockError},
    probe::{PathState, describe_permissions, path_state},
    public_name::{Found, PublicName, look},
    takeover::{self, Predecessor, Said, Successor, TakeoverError, control_path},
    watch,
};

/// How long to try for a lock that was just released: a third server may hold it while it finds the path live.
const RELEASED_LOCK_TIME: Duration = Duration::from_secs(2);

/// How often to try for the lock when a successor has failed, until it can be had.
const RETAKE_PACE: Duration = Duration::from_millis(50);

/// 2 s: a third server may hold the lock for a moment, while it finds the path live.
const TRIES_BEFORE_WARNING: u32 = 40;

/// What a server does when someone removes its path or puts something else there, so that no new client finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnRemoved {
    /// Says so, and serves on what it has.
    Serve,
    /// Drains, and fails.
    Stop,
}

/// How a server takes its path, and who may connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the lock file says of the server, for error messages.
    pub implementation: String,
    /// Permissions of the socket; connecting takes write permission.
    pub mode: u32,
    /// Group of the socket; none stands for the process's.
    pub group: Option<Gid>,
    /// Serve also in a folder where every user can replace the socket.
    pub trust_folder: bool,
    /// Take the path over from a server that has it.
    pub takeover: bool,
}

/// One server's hold on a path: `bind`, serve, `publish`, wait for a signal or `taken_over`, and `withdraw`, which
/// dropping it does too.
///
/// Nobody else removes the file: unix(7) leaves it to the caller, and neither tokio's listener nor tonic does it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    options: Options,
    folder: Folder,
    hold: Hold,
    public: PublicName,
    /// Where successors dial; none where the path leaves no room for its name.
    control: Option<PublicName>,
    /// What was at the path before this server.
    found: Option<Found>,
    predecessor: Option<Predecessor>,
    /// Where the sockets are until they are published.
    private: Option<PrivateFolder>,
    successors: Option<UnixListener>,
}

/// The lock of the path: only who holds it may remove what is beside the path, which may be a successor's by then.
#[derive(Debug)]
enum Hold {
    Held(Lock),
    /// A successor may have the lock. The folder has further names of both sockets meanwhile, as it may die with theirs.
    Released {
        kept: Option<PrivateFolder>,
    },
    Withdrawn,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error("{0} exists and is not a socket; move it away or choose another path")]
    NotASocket(PathBuf),
    #[error(
        "{0} has a server already: someone answers there without holding {0}.lock; stop that server or choose \
         another path"
    )]
    Live(PathBuf),
    #[error(
        "{path} may have a server: this process is not allowed to ask; {permissions}; remove the file if nobody \
         serves there"
    )]
    Forbidden { path: PathBuf, permissions: String },
    #[error("cannot look at {path}: {cause}; check the folder it is in")]
    Look { path: PathBuf, cause: io::Error },
    #[error("{path}.takeover is needed to hand {path} over and is not a socket; move it away or choose another path")]
    ForeignControl { path: PathBuf },
    #[error("cannot create a private folder beside {path}: {cause}; {permissions}; let this process write there")]
    PrivateFolder { path: PathBuf, permissions: String, cause: io::Error },
    #[error(
        "the system refused a socket beside {path}: {cause}; check that its folder is on a file system with sockets \
         and has space"
    )]
    Bind { path: PathBuf, cause: io::Error },
    #[error(
        "someone put another file at {0} while this server started; it is kept: move it away or choose another path"
    )]
    Changed(PathBuf),
    #[error(
        "cannot publish {path} with mode {mode:04o}: {cause}; {permissions}; only a group that this process is in \
         can be given"
    )]
    Publish { path: PathBuf, mode: u32, permissions: String, cause: io::Error },
    #[error(
        "someone has removed {0}, or put another in its place: no new client finds this server; start it again, and \
         leave the file alone"
    )]
    Removed(PathBuf),
}

impl SocketFile {
    /// Locks the path, makes sure that nothing is there but, perhaps, a stale socket, and binds a socket that does not
    /// block where nobody else can enter.
    ///
    /// The lock comes first: what the path looks like says nothing about a server that is just starting. With
    /// `takeover`, a server that holds it is asked to hand it over.
    pub async fn bind(address: &SocketAddress, options: Options) -> Result<(Self, net::UnixListener), ListenError> {
        let path = address.path();
        let folder = Folder::of_socket(path, options.trust_folder)?;
        let (lock, predecessor) = match Lock::take(&folder, path, &options.implementation) {
            Err(LockError::Held { .. }) if options.takeover => {
                let predecessor = Predecessor::ask_to_release(path).await?;
                let lock = Lock::take_within(RELEASED_LOCK_TIME, &folder, path, &options.implementation).await?;
                (lock, Some(predecessor))
            }
            taken => (taken?, None),
        };
        let name = |path: &Path| PublicName::new(&folder, path.file_name().unwrap_or_default().to_owned());
        let mut this = Self {
            path: path.to_owned(),
            public: name(path),
            control: control_path(path).as_deref().map(name),
            options,
            folder: folder.clone(),
            hold: Hold::Held(lock),
            found: None,
            predecessor,
            private: None,
            successors: None,
        };
        this.look().await?;
        let listener = this.bind_in_private()?;
        Ok((this, listener))
    }

    /// Refuses anything at the path but a stale socket, or a server that hands it over.
    async fn look(&mut self) -> Result<(), ListenError> {
        let path = self.path.clone();
        self.found = look(&self.public.path()).ok();
        let state = path_state(&path).await.map_err(|cause| ListenError::Look { path: path.clone(), cause })?;
        match state {
            PathState::Absent | PathState::Stale => {}
            PathState::Live if self.predecessor.is_some() => {}
            // Someone has removed the lock file that its server holds.
            PathState::Live if self.options.takeover => {
                self.hold = Hold::Withdrawn; // it may be waiting for this lock
                self.predecessor = Some(Predecessor::ask_to_release(&path).await?);
                let implementation = &self.options.implementation;
                let lock = Lock::take_within(RELEASED_LOCK_TIME, &self.folder, &path, implementation).await?;
                self.hold = Hold::Held(lock);
            }
            PathState::Live => return Err(ListenError::Live(path)),
            PathState::NotASocket => return Err(ListenError::NotASocket(path)),
            PathState::Forbidden => {
                return Err(ListenError::Forbidden { permissions: describe_permissions(&path), path });
            }
        }
        match self.control.as_ref().map(|control| fs::symlink_metadata(control.path())) {
            Some(Ok(found)) if !found.file_type().is_socket() => Err(ListenError::ForeignControl { path }),
            _ => Ok(()),
        }
    }

    fn bind_in_private(&mut self) -> Result<net::UnixListener, ListenError> {
        // A predecessor keeps names of its sockets in such a folder.
        if self.predecessor.is_none() {
            sweep(&self.folder, &self.private_prefix());
        }
        let private = self.create_private_folder().map_err(|cause| ListenError::PrivateFolder {
            path: self.path.clone(),
            permissions: describe_permissions(self.path.parent().unwrap_or(&self.path)),
            cause,
        })?;
        let listener = self.try_bind(&private).map_err(|cause| ListenError::Bind { path: self.path.clone(), cause })?;
        self.private = Some(private);
        Ok(listener)
    }

    fn try_bind(&mut self, private: &PrivateFolder) -> io::Result<net::UnixListener> {
        if self.control.is_some() {
            self.successors = Some(takeover::listen(&private.control())?);
        }
        let listener = net::UnixListener::bind(private.socket())?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Gives the socket its mode and group and renames it onto the path; from now on it is found.
    pub async fn publish(&mut self) -> Result<(), ListenError> {
        let Some(private) = self.private.take() else { return Ok(()) };
        if look(&self.public.path()).is_ok_and(|now| Some(now) != self.found) {
            return Err(ListenError::Changed(self.path.clone()));
        }
        self.prepare(&private).map_err(|cause| self.publish_error(cause))?;
        self.public.take_from(&private.socket()).map_err(|cause| self.publish_error(cause))?;
        drop(private); // before a successor can have the lock, as the folder is its own then
        if let Some(predecessor) = self.predecessor.take() {
            predecessor.tell_published().await;
        }
        Ok(())
    }

    /// Everything but the path itself. If that fails, or the process dies here, a predecessor still has its path.
    fn prepare(&mut self, private: &PrivateFolder) -> io::Result<()> {
        if let Some(group) = self.options.group {
            chown(private.socket(), None, Some(group.as_raw()))?;
        }
        fs::set_permissions(private.socket(), fs::Permissions::from_mode(self.options.mode))?;
        match &mut self.control {
            Some(control) => control.take_from(&private.control()),
            None => Ok(()),
        }
    }

    fn publish_error(&self, cause: io::Error) -> ListenError {
        let permissions = describe_permissions(&self.path);
        ListenError::Publish { path: self.path.clone(), mode: self.options.mode, permissions, cause }
    }

    /// Answers successors, one at a time, and ends when one serves at the path, or when someone has removed the path and
    /// the server is to stop then, which is an error.
    ///
    /// It may be dropped at any time: `withdraw` minds that a successor may have the lock.
    pub async fn taken_over(&mut self, on_removed: OnRemoved) -> Result<(), ListenError> {
        let mut is_watched = true;
        loop {
            // While a successor is answered nobody looks: what is at the path may be its own then, and that is no loss.
            let successor = select! {
                successor = self.next_successor() => successor,
                () = watch::until(|| !self.public.is_own()), if is_watched => {
                    let removed = ListenError::Removed(self.path.clone());
                    if on_removed == OnRemoved::Stop {
                        return Err(removed);
                    }
                    warn!("{removed}");
                    is_watched = false;
                    continue;
                }
            };
            if self.hand_over(successor).await {
                return Ok(());
            }
        }
    }

    async fn next_successor(&self) -> Successor {
        match &self.successors {
            Some(listener) => Successor::accept(listener).await,
            None => pending().await,
        }
    }

    /// Lets a successor have the lock, and says whether it has published; if not, this server has everything again.
    async fn hand_over(&mut self, mut successor: Successor) -> bool {
        self.hold = Hold::Released { kept: self.keep_names().ok() }; // which releases the lock
        let mut said = match successor.tell_released().await {
            Ok(()) => successor.listen().await,
            Err(_) => Said::Other,
        };
        while said == Said::Nothing {
            // A successor that is starting holds the lock.
            if let Ok(lock) = self.take_lock() {
                warn!(
                    "a successor that was to take over {} does not respond; its connection is closed",
                    self.path.display()
                );
                self.resume(lock).await;
                return false;
            }
            said = successor.listen().await;
        }
        if said == Said::Published {
            self.hold = Hold::Withdrawn; // the names are the successor's
            return true;
        }
        drop(successor);
        let lock = self.retake_lock().await;
        self.resume(lock).await;
        false
    }

    fn keep_names(&self) -> io::Result<PrivateFolder> {
        let kept = self.create_private_folder()?;
        for name in self.names() {
            name.keep(&kept);
        }
        Ok(kept)
    }

    /// Serves on when a successor has failed, whatever it has done to the names.
    async fn resume(&mut self, lock: Lock) {
        if let Hold::Released { kept: Some(kept) } = mem::replace(&mut self.hold, Hold::Held(lock)) {
            for name in self.names() {
                name.restore(&kept).await;
            }
        }
    }

    fn take_lock(&self) -> Result<Lock, LockError> {
        Lock::take(&self.folder, &self.path, &self.options.implementation)
    }

    /// Tries until it succeeds: another process may hold the lock, or this one may have no file descriptor left.
    async fn retake_lock(&self) -> Lock {
        let mut tries = 0;
        loop {
            match self.take_lock() {
                Ok(lock) => return lock,
                Err(error) => {
                    tries += 1;
                    if tries == TRIES_BEFORE_WARNING {
                        warn!(
                            "a takeover of {} failed, and its lock cannot be taken again yet: {error}",
                            self.path.display()
                        );
                    }
                }
            }
            sleep(RETAKE_PACE).await;
        }
    }

    /// Removes the path if it is still this server's own, and releases the lock; doing it twice is harmless.
    pub fn withdraw(&mut self) {
        self.successors = None; // hangs up on those that wait
        self.private = None;
        let lock = match mem::replace(&mut self.hold, Hold::Withdrawn) {
            Hold::Held(lock) => Some(lock),
            // A successor has it, whose the names are then, or has not taken it yet.
            Hold::Released { .. } => self.take_lock().ok(),
            Hold::Withdrawn => None,
        };
        if lock.is_some() {
            for name in self.names() {
                name.remove_if_own();
            }
        }
        // Last, so that it finds the lock released.
        drop(lock);
        self.predecessor = None;
    }

    fn names(&self) -> impl Iterator<Item = &PublicName> {
        self.control.iter().chain([&self.public])
    }

    fn create_private_folder(&self) -> io::Result<PrivateFolder> {
        PrivateFolder::create(&self.folder, &self.private_prefix())
    }

    fn private_prefix(&self) -> String {
        private_prefix(self.path.file_name().unwrap_or(OsStr::new("")))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.withdraw();
    }
}
