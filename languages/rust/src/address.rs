//! The address of a Unix domain socket, `unix:/absolute/path`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The longest path of a socket in bytes. On Linux `sun_path` has 108 bytes, and one of them is the final NUL
/// (unix(7)).
pub const MAX_PATH_BYTES: usize = 107;

/// In a URI these start an escape, a query, a fragment and the next of several addresses (grpc/grpc doc/naming.md).
/// Some libraries decode them and some do not, so two libraries would use different paths.
const RESERVED: [char; 4] = ['%', '?', '#', ','];

/// The absolute path of a socket. All gRPC libraries read it in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketAddress(PathBuf);

/// The address is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid socket address {address:?}: {fault}")]
#[non_exhaustive]
pub struct AddressError {
    pub address: PathBuf,
    pub fault: AddressFault,
}

/// The reason why an address is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    #[error("the path is empty; use unix:/absolute/path")]
    Empty,
    #[error("a host follows two slashes; use unix:/absolute/path or unix:///absolute/path")]
    TwoSlashes,
    #[error("the path is not absolute; use unix:/absolute/path")]
    Relative,
    #[error("the path names a folder; add the name of the socket, as in unix:/run/app/app.sock")]
    Folder,
    #[error("gRPC libraries read a path that is not UTF-8 differently; use a path in UTF-8")]
    NotUtf8,
    #[error("gRPC libraries read {0:?} in a path differently; use a path without it")]
    Reserved(char),
    #[error("the path has {0} bytes, and a socket can have {MAX_PATH_BYTES}; use a shorter path")]
    TooLong(usize),
}

impl SocketAddress {
    /// Parses `unix:/absolute/path`, `unix:///absolute/path` or an absolute path. Does not access the file system.
    ///
    /// # Errors
    ///
    /// [`AddressError`]: the address is invalid.
    pub fn new(address: impl AsRef<Path>) -> Result<Self, AddressError> {
        let address = address.as_ref();
        match path(address) {
            Ok(path) => Ok(Self(path.into())),
            Err(fault) => Err(AddressError { address: address.to_owned(), fault }),
        }
    }

    /// Returns the path without the scheme.
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

/// Formats the address as `unix:/absolute/path`, a target that every gRPC library accepts.
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
    fn each_form_of_a_path_gives_the_same_address() {
        for text in ["/run/a.sock", "unix:/run/a.sock", "unix:///run/a.sock"] {
            assert_eq!(SocketAddress::new(text).unwrap().to_string(), "unix:/run/a.sock");
        }
    }

    #[test]
    fn an_invalid_path_is_an_error() {
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
