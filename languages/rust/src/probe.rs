//! Finds out what is at the path of a socket. Servers and clients both use it.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

use nix::unistd::{getegid, geteuid, getgroups};
use tokio::net::UnixStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    Absent,
    NotASocket,
    /// A socket on which no server listens.
    Stale,
    /// A socket to which this process may not connect.
    Forbidden,
    Live,
}

/// Looks at the path and, if it is a socket, connects to it. Does not wait and changes nothing.
///
/// A socket that is bound but does not listen yet looks stale, because connect(2) returns ECONNREFUSED for both.
/// Therefore servers use a lock to exclude each other.
pub async fn path_state(path: &Path) -> io::Result<PathState> {
    match fs::metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Ok(PathState::NotASocket),
        Ok(_) => {}
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(PathState::Absent),
                io::ErrorKind::PermissionDenied => Ok(PathState::Forbidden),
                _ => Err(error),
            };
        }
    }
    Ok(match UnixStream::connect(path).await.map_err(|error| error.kind()) {
        Err(io::ErrorKind::ConnectionRefused) => PathState::Stale,
        Err(io::ErrorKind::NotFound) => PathState::Absent,
        Err(io::ErrorKind::PermissionDenied) => PathState::Forbidden,
        // Connected, or EAGAIN: the backlog is full, so a server listens.
        _ => PathState::Live,
    })
}

/// Describes the owner and mode of the path, or of the nearest folder above it that this process can see, and the user
/// and groups of this process.
pub fn describe_permissions(path: &Path) -> String {
    let Some((visible, found)) = path.ancestors().find_map(|each| Some((each, fs::metadata(each).ok()?))) else {
        return format!("nothing above {} can be seen", path.display());
    };
    let mut groups = getgroups().unwrap_or_default();
    groups.push(getegid());
    groups.sort_by_key(|group| group.as_raw());
    groups.dedup();
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    format!(
        "{} belongs to uid {} and gid {} with mode {:04o}, and this process is uid {} with gids {}",
        visible.display(),
        found.uid(),
        found.gid(),
        found.permissions().mode() & 0o7777,
        geteuid(),
        groups.join(" ")
    )
}
