//! The address of a Unix domain socket, `unix:/absolute/path`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The longest path of a socket in bytes: `sun_path` of Linux's unix(7) has 108, one of them the final NUL.
pub const MAX_PATH_BYTES: usize = 107;

/// In a URI these begin an escape, a query, a fragment and the next of several addresses (grpc/grpc doc/naming.md);
/// libraries differ in whether they undo it, so such a path would not be one path.
const RESERVED: [char; 4] = ['%', '?', '#', ','];

/// The absolute path of a socket, one that all gRPC libraries read alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketAddress(PathBuf);

/// An address that is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid socket address {address:?}: {fault}")]
#[non_exhaustive]
pub struct AddressError {
    pub address: PathBuf,
    pub fault: AddressFault,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    #[error("the path is empty; write unix:/absolute/path")]
    Empty,
    #[error("two slashes make the next word a host; write unix:/absolute/path or unix:///absolute/path")]
    TwoSlashes,
    #[error("the path is not absolute; write unix:/absolute/path")]
    Relative,
    #[error("the path names a folder; add the name of the socket, as in unix:/run/app/app.sock")]
    Folder,
    #[error("the path is not UTF-8, which gRPC libraries do not all read alike; choose another one")]
    NotUtf8,
    #[error("the path contains {0:?}, which gRPC libraries do not all read alike; choose a path without it")]
    Reserved(char),
    #[error("the path has {0} bytes and a Unix socket's may have {MAX_PATH_BYTES}; choose a shorter one")]
    TooLong(usize),
}

impl SocketAddress {
    /// Reads `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path.
    ///
    /// # Errors
    ///
    /// [`AddressError`] if the path is invalid; nothing is looked up.
    pub fn new(address: impl AsRef<Path>) -> Result<Self, AddressError> {
        let address = address.as_ref();
        match path(address) {
            Ok(path) => Ok(Self(path.into())),
            Err(fault) => Err(AddressError { address: address.to_owned(), fault }),
        }
    }

    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn path(address: &Path) -> Result<&str, AddressFault> {
    let text = address.to_str().ok_or(AddressFault::NotUtf8)?;
    let path = text.strip_prefix("unix:").unwrap_or(text);
    let path = if path.starts_with("///") { &path[2..] } else { path };
    if path.is_empty() {
        return Err(AddressFault::Empty);
    }
    if path.starts_with("//") {
        return Err(AddressFault::TwoSlashes);
    }
    if !path.starts_with('/') {
        return Err(AddressFault::Relative);
    }
    if ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
        return Err(AddressFault::Folder);
    }
    if let Some(reserved) = path.chars().find(|c| RESERVED.contains(c) || c.is_control()) {
        return Err(AddressFault::Reserved(reserved));
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(AddressFault::TooLong(path.len()));
    }
    Ok(path)
}

impl AsRef<Path> for SocketAddress {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// Writes the address as every gRPC library takes it for a target.
impl fmt::Display for SocketAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unix:{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    fn fault(address: impl AsRef<Path>) -> Option<AddressFault> {
        SocketAddress::new(address).err().map(|error| error.fault)
    }

    #[test]
    fn all_spellings_of_a_path_are_one_address() {
        for text in ["/run/a.sock", "unix:/run/a.sock", "unix:///run/a.sock"] {
            assert_eq!(SocketAddress::new(text).unwrap().to_string(), "unix:/run/a.sock");
        }
    }

    #[test]
    fn what_is_no_path_of_a_socket_is_refused() {
        for (text, expected) in [
            ("", AddressFault::Empty),
            ("unix:", AddressFault::Empty),
            ("unix:a.sock", AddressFault::Relative),
            ("unix://run/a.sock", AddressFault::TwoSlashes),
            ("/run/", AddressFault::Folder),
            ("/run/a%20.sock", AddressFault::Reserved('%')),
            ("/run/a\n.sock", AddressFault::Reserved('\n')),
        ] {
            assert_eq!(fault(text), Some(expected), "{text:?}");
        }
        assert_eq!(fault(OsStr::from_bytes(b"/run/\xff")), Some(AddressFault::NotUtf8));
    }

    #[test]
    fn a_path_has_at_most_107_bytes() {
        let longest = format!("/{}", "a".repeat(106));
        assert_eq!(fault(&longest), None);
        assert_eq!(fault(longest + "a"), Some(AddressFault::TooLong(108)));
    }
}
