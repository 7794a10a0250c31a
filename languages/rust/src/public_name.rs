//! The public name of a socket, in a folder that other programs use too.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    folder::{Folder, PrivateFolder},
    probe::{PathState, path_state},
};

/// Device and inode of a file.
pub type Identity = (u64, u64);

/// The identity of a file and the time of its last modification.
pub type Found = (Identity, (i64, i64));

/// Identifies the file at a path, without following a link.
pub fn identity(path: &Path) -> io::Result<Identity> {
    look(path).map(|(identity, _)| identity)
}

/// Identifies the file at a path by its inode and its time of modification. The inode alone is not enough, because a
/// new file often gets the inode of a removed one.
pub fn look(path: &Path) -> io::Result<Found> {
    fs::symlink_metadata(path).map(|found| ((found.dev(), found.ino()), (found.mtime(), found.mtime_nsec())))
}

/// The name of a server's socket. Only the holder of the lock may remove or restore it. Otherwise a successor could
/// publish its own socket between the check and the change.
#[derive(Debug)]
pub struct PublicName {
    folder: Folder,
    name: OsString,
    /// The socket to which this server gave the name.
    own: Option<Identity>,
}

impl PublicName {
    pub fn new(folder: &Folder, name: OsString) -> Self {
        Self { folder: folder.clone(), name, own: None }
    }

    /// Returns a path that is valid as long as `self`.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn kept(&self, folder: &PrivateFolder) -> PathBuf {
        folder.join(&self.name)
    }

    /// Moves a socket to this name and replaces the file that had it.
    pub fn take_from(&mut self, private: &Path) -> io::Result<()> {
        self.own = Some(identity(private)?);
        fs::rename(private, self.path())
    }

    pub fn is_own(&self) -> bool {
        self.own.is_some() && identity(&self.path()).ok() == self.own
    }

    pub fn remove_if_own(&self) {
        if self.is_own() {
            let _ = fs::remove_file(self.path());
        }
    }

    /// Makes a hard link to the socket, so that `restore` can give its name back.
    ///
    /// This fails on a file system without hard links. If a successor then takes the name and dies, no client finds the
    /// server, and it reports [`Event::Removed`](crate::Event::Removed).
    pub fn keep(&self, kept: &PrivateFolder) {
        if self.is_own() {
            let _ = fs::hard_link(self.path(), self.kept(kept));
        }
    }

    /// Moves the kept socket back to its name, unless another server listens there.
    pub async fn restore(&self, kept: &PrivateFolder) {
        if !self.is_own()
            && matches!(path_state(&self.folder.join_given(&self.name)).await, Ok(PathState::Absent | PathState::Stale))
        {
            let _ = fs::rename(self.kept(kept), self.path());
        }
        // The drop of the private folder lists it, which needs a file descriptor, and the process may have none left.
        let _ = fs::remove_file(self.kept(kept));
    }
}
