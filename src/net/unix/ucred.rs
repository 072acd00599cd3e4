//! Who is on the other side of a Unix domain socket.

use super::stream::UnixStream;
use super::{gid_t, pid_t, uid_t};
use std::io;

/// Who is on the other side of a Unix domain socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    uid: uid_t,
    gid: gid_t,
    pid: Option<pid_t>,
}

impl UCred {
    /// The user.
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// The group.
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// The process, if the system tells.
    pub fn pid(&self) -> Option<pid_t> {
        self.pid
    }
}

/// Who is on the other side of `stream`.
pub(super) fn of(stream: &UnixStream) -> io::Result<UCred> {
    let (uid, gid, pid) = crate::engine::sys::peer_credentials(std::os::fd::AsFd::as_fd(stream))?;
    Ok(UCred { uid, gid, pid })
}
