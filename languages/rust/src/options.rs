use std::{env, path::Path};

/// Options of [`listen`](crate::listen).
#[derive(Clone, Debug)]
pub struct Options {
    /// Permissions of the socket. Clients need write permission to connect. Default: 0o660.
    pub mode: u32,
    /// Group of the socket, as a number. Default: the group of a new file in the folder.
    pub group: Option<u32>,
    /// The name of this server in the error of a second server on the path. Default: the name of the program.
    pub owner: String,
    /// Listen in a folder that every user can write to, with a warning. Default: false.
    pub trust_folder: bool,
    /// Replace a running server, or allow a successor. Default: [`Takeover::Never`].
    pub takeover: Takeover,
}

/// Whether a successor can replace a server without losing a call.
///
/// A successor connects to `<path>.takeover`. A path of more than 98 bytes cannot be taken over, because that name
/// would be too long for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Takeover {
    /// Fail if a server uses the path, and refuse successors.
    Never,
    /// Let a successor replace this server while [`Listener::next_event`](crate::Listener::next_event) is awaited.
    Allow,
    /// Replace a running server, which then drains. Implies `Allow`.
    Replace,
}

impl Default for Options {
    fn default() -> Self {
        let program = env::args_os().next().unwrap_or_default();
        let owner = Path::new(&program).file_name().unwrap_or(&program).to_string_lossy().into_owned();
        Self { mode: 0o660, group: None, owner, trust_folder: false, takeover: Takeover::Never }
    }
}
