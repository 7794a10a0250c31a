//! A name that a server gives to its socket, removes, and restores, in a folder that others use too.

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

/// What a look finds: a file and the time of its last modification.
pub type Found = (Identity, (i64, i64));

/// Identifies what is at a path, without following a link.
pub fn identity(path: &Path) -> io::Result<Identity> {
    look(path).map(|(identity, _)| identity)
}

/// Identifies what is at a path, and says when it was modified: a file that is made where another was removed often gets
/// its inode.
pub fn look(path: &Path) -> io::Result<Found> {
    fs::symlink_metadata(path).map(|found| ((found.dev(), found.ino()), (found.mtime(), found.mtime_nsec())))
}

/// The name of a server's socket. Only the holder of the lock removes or restores it: otherwise a successor could put its
/// own there between the check and the change.
#[derive(Debug)]
pub struct PublicName {
    folder: Folder,
    name: OsString,
    /// Of this server's socket, once it had the name.
    own: Option<Identity>,
}

impl PublicName {
    pub fn new(folder: &Folder, name: OsString) -> Self {
        Self { folder: folder.clone(), name, own: None }
    }

    /// A path that is valid while this is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn kept(&self, folder: &PrivateFolder) -> PathBuf {
        folder.join(&self.name)
    }

    /// Gives the name to a socket, whatever had it.
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

    /// Keeps a further name of the socket, so that `restore` can give this one back.
    ///
    /// Where that fails, as on a file system without hard links, the server is no longer found if its successor dies
    /// with its name, and says so.
    pub fn keep(&self, kept: &PrivateFolder) {
        if self.is_own() {
            let _ = fs::hard_link(self.path(), self.kept(kept));
        }
    }

    /// Gives the name to the kept socket again, unless someone else serves there.
    pub async fn restore(&self, kept: &PrivateFolder) {
        if !self.is_own()
            && matches!(path_state(&self.folder.join_given(&self.name)).await, Ok(PathState::Absent | PathState::Stale))
        {
            let _ = fs::rename(self.kept(kept), self.path());
        }
        // Listing the folder takes a file descriptor, and there may be none left.
        let _ = fs::remove_file(self.kept(kept));
    }
}
