//! The address of a Unix domain socket, as PROTOCOL.md has it: `unix:/absolute/path`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The longest path of a socket in bytes: `sun_path` of Linux's unix(7) has 108, one of them the final NUL.
pub const MAX_PATH_BYTES: usize = 107;

/// In a URI these begin an escape, a query, a fragment and the next of several addresses (grpc/grpc doc/naming.md);
/// libraries differ in whether they undo it, so such a path would not be one path.
const RESERVED: [char; 4] = ['%', '?', '#', ','];

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketAddress(PathBuf);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the path is empty; write unix:/absolute/path")]
    Empty,
    #[error("two slashes make the next word a host; write unix:/absolute/path or unix:///absolute/path")]
    TwoSlashes,
    #[error("the path is not absolute; write unix:/absolute/path")]
    Relative,
    #[error("the path names a folder; add the name of the socket, as in unix:/run/app/app.sock")]
    Folder,
    #[error("the path contains {0:?}, which gRPC libraries do not all read alike; choose a path without it")]
    Reserved(char),
    #[error("the path has {0} bytes and a Unix socket's may have {MAX_PATH_BYTES}; choose a shorter one")]
    TooLong(usize),
}

impl SocketAddress {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Reads `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path.
impl FromStr for SocketAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        let path = if path.starts_with("///") { &path[2..] } else { path };
        if path.is_empty() {
            return Err(AddressError::Empty);
        }
        if path.starts_with("//") {
            return Err(AddressError::TwoSlashes);
        }
        if !path.starts_with('/') {
            return Err(AddressError::Relative);
        }
        if ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
            return Err(AddressError::Folder);
        }
        if let Some(reserved) = path.chars().find(|c| RESERVED.contains(c) || c.is_control()) {
            return Err(AddressError::Reserved(reserved));
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(AddressError::TooLong(path.len()));
        }
        Ok(Self(path.into()))
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
    use super::*;

    #[test]
    fn all_spellings_of_a_path_are_one_address() {
        for text in ["/run/a.sock", "unix:/run/a.sock", "unix:///run/a.sock"] {
            let address: SocketAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), "unix:/run/a.sock");
        }
    }

    #[test]
    fn what_is_no_path_of_a_socket_is_refused() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("unix:", AddressError::Empty),
            ("unix:a.sock", AddressError::Relative),
            ("unix://run/a.sock", AddressError::TwoSlashes),
            ("/run/", AddressError::Folder),
            ("/run/a%20.sock", AddressError::Reserved('%')),
            ("/run/a\n.sock", AddressError::Reserved('\n')),
        ] {
            assert_eq!(text.parse::<SocketAddress>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_path_has_at_most_107_bytes() {
        let longest = format!("/{}", "a".repeat(106));
        assert!(longest.parse::<SocketAddress>().is_ok());
        assert_eq!((longest + "a").parse::<SocketAddress>(), Err(AddressError::TooLong(108)));
    }
}
