use std::{env, path::Path};

/// How a server takes its path, and who may connect. The default allows no takeover.
#[derive(Clone, Debug)]
pub struct Options {
    /// Permissions of the socket, 0o660 by default. Connecting takes write permission.
    pub mode: u32,
    /// Group of the socket, by number; by default that of a new file in the folder.
    pub group: Option<u32>,
    /// Names this server in the error of a second one; the program's name by default.
    pub owner: String,
    /// Listens in a folder that every user may write to, with a warning. False by default.
    pub trust_folder: bool,
    /// [`Takeover::Never`] by default.
    pub takeover: Takeover,
}

/// Whether a server is replaced without losing a call.
///
/// A successor dials `<path>.takeover`. A path of more than 98 bytes leaves no room for that name, and cannot be taken
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Takeover {
    /// Refuses a path that has a server, and is never replaced.
    Never,
    /// Lets a successor replace this server, while [`Listener::next_event`](crate::Listener::next_event) is awaited.
    Allow,
    /// Replaces a running server, which then drains. Implies `Allow`.
    Replace,
}

impl Default for Options {
    fn default() -> Self {
        let program = env::args_os().next().unwrap_or_default();
        let owner = Path::new(&program).file_name().unwrap_or(&program).to_string_lossy().into_owned();
        Self { mode: 0o660, group: None, owner, trust_folder: false, takeover: Takeover::Never }
    }
}
