//! Watches the path of a running server: a successor takes it over, or the socket is removed.

use std::{future::pending, io, time::Duration};

use tokio::{net::UnixListener, select, time::sleep};
use tracing::warn;

use super::Listener;
use crate::{
    folder::PrivateFolder,
    lock::Lock,
    takeover::{Answer, Successor},
    watch,
};

/// The pause between two attempts to take the lock again after a successor failed.
const RETAKE_PACE: Duration = Duration::from_millis(50);

/// The number of attempts in 2 s. A third server may hold the lock for a moment, until it finds that a server uses the path.
const TRIES_BEFORE_WARNING: u32 = 40;

/// An event at the path of a [`Listener`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A successor serves at the path. Drain this server.
    TakenOver,
    /// The socket was removed or replaced, so that no new client finds this server. It is reported once.
    Removed,
}

/// The state of the lock. Only its holder may remove files, because they may belong to a successor.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a listener has one")]
pub(super) enum Hold {
    Held(Lock),
    /// A successor may have the lock. The folder keeps hard links to both sockets, because the successor may take their
    /// names and die.
    Lent {
        kept: Option<PrivateFolder>,
        /// None after it failed.
        successor: Option<Successor>,
    },
    /// The names belong to the successor.
    TakenOver,
}

impl Listener {
    /// Waits for the next event at the path. While it waits, it answers successors, one at a time, if
    /// [`Takeover`](crate::Takeover) allows them. After a successor that fails or does not respond, the path is as
    /// before.
    ///
    /// Cancel safe: the next call continues a takeover that has started.
    pub async fn next_event(&mut self) -> Event {
        loop {
            match &mut self.hold {
                Hold::Held(_) => select! {
                    successor = next_successor(self.successors.as_ref()) => self.lend(successor).await,
                    // Watch the path only while this server has the lock. Later it may be the path of a successor.
                    () = watch::until(|| !self.place.public.is_own()), if self.is_watched => {
                        self.is_watched = false;
                        return Event::Removed;
                    }
                },
                Hold::Lent { successor, .. } => {
                    let answer = match successor {
                        Some(successor) => successor.answer().await,
                        None => Answer::Failed,
                    };
                    match answer {
                        Answer::Published => self.hold = Hold::TakenOver,
                        // A successor that is starting holds the lock. If the lock is free, it is blocked.
                        Answer::Nothing => {
                            if let Ok(lock) = self.place.take_lock() {
                                let path = self.place.path.display();
                                warn!("the takeover of {path} failed: the new server did not respond; start it again");
                                self.resume(lock).await;
                            }
                        }
                        Answer::Failed => {
                            *successor = None;
                            let lock = self.retake_lock().await;
                            self.resume(lock).await;
                        }
                    }
                }
                Hold::TakenOver => return Event::TakenOver,
            }
        }
    }

    /// Releases the lock for a successor.
    async fn lend(&mut self, mut successor: Successor) {
        let kept = self.keep_names().ok();
        self.hold = Hold::Lent { kept, successor: None }; // releases the lock
        if successor.tell_released().await.is_ok()
            && let Hold::Lent { successor: lent_to, .. } = &mut self.hold
        {
            *lent_to = Some(successor);
        }
    }

    fn keep_names(&self) -> io::Result<PrivateFolder> {
        let kept = self.place.create_private_folder()?;
        for name in self.place.names() {
            name.keep(&kept);
        }
        Ok(kept)
    }

    /// Continues to serve after a successor failed, and restores the names that it took.
    async fn resume(&mut self, lock: Lock) {
        if let Hold::Lent { kept: Some(kept), .. } = &self.hold {
            for name in self.place.names() {
                name.restore(kept).await;
            }
        }
        self.hold = Hold::Held(lock);
    }

    /// Takes the lock again. Retries while another process holds it or this process has no file descriptor left.
    async fn retake_lock(&self) -> Lock {
        let mut tries = 0;
        loop {
            match self.place.take_lock() {
                Ok(lock) => return lock,
                Err(error) => {
                    tries += 1;
                    if tries == TRIES_BEFORE_WARNING {
                        let path = self.place.path.display();
                        warn!("the takeover of {path} failed, and the lock is not free yet; retrying: {error}");
                    }
                }
            }
            sleep(RETAKE_PACE).await;
        }
    }
}

async fn next_successor(successors: Option<&UnixListener>) -> Successor {
    match successors {
        Some(listener) => Successor::accept(listener).await,
        None => pending().await,
    }
}
