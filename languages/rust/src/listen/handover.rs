//! What happens to the path of a server that serves: a successor takes it over, or someone removes it.

use std::{future::pending, io, time::Duration};

use tokio::{net::UnixListener, select, time::sleep};
use tracing::warn;

use super::Listener;
use crate::{
    folder::PrivateFolder,
    lock::Lock,
    takeover::{Said, Successor},
    watch,
};

/// How often to try for the lock when a successor has failed, until it can be had.
const RETAKE_PACE: Duration = Duration::from_millis(50);

/// 2 s: a third server may hold the lock for a moment, while it finds the path live.
const TRIES_BEFORE_WARNING: u32 = 40;

/// What has happened to the path of a [`Listener`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A successor serves at the path: drain.
    TakenOver,
    /// Someone has removed the path or put something else there, so that no new client finds this server. It is told once.
    Removed,
}

/// The lock of the path: only who holds it may remove what is beside the path, which may be a successor's by then.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a listener has one")]
pub(super) enum Hold {
    Held(Lock),
    /// A successor may have the lock. The folder has further names of both sockets meanwhile, as it may die with theirs.
    Lent {
        kept: Option<PrivateFolder>,
        /// None where it has failed.
        successor: Option<Successor>,
    },
    /// The names are the successor's.
    TakenOver,
}

impl Listener {
    /// Waits until something happens to the path. Meanwhile it answers successors, one at a time, where
    /// [`Takeover`](crate::Takeover) allows them; one that fails, or does not respond, leaves the path as it was.
    ///
    /// It is cancel safe: a takeover that is under way goes on with the next call.
    pub async fn next_event(&mut self) -> Event {
        loop {
            match &mut self.hold {
                Hold::Held(_) => select! {
                    successor = next_successor(self.successors.as_ref()) => self.lend(successor).await,
                    // While the lock is lent nobody looks: what is at the path may be a successor's, and that is no loss.
                    () = watch::until(|| !self.place.public.is_own()), if self.is_watched => {
                        self.is_watched = false;
                        return Event::Removed;
                    }
                },
                Hold::Lent { successor, .. } => {
                    let said = match successor {
                        Some(successor) => successor.listen().await,
                        None => Said::Other,
                    };
                    match said {
                        Said::Published => self.hold = Hold::TakenOver,
                        // A successor that is starting holds the lock.
                        Said::Nothing => {
                            if let Ok(lock) = self.place.take_lock() {
                                let path = self.place.path.display();
                                warn!("a successor that was to take over {path} does not respond; it is hung up on");
                                self.resume(lock).await;
                            }
                        }
                        Said::Other => {
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

    /// Lets a successor have the lock.
    async fn lend(&mut self, mut successor: Successor) {
        let kept = self.keep_names().ok();
        self.hold = Hold::Lent { kept, successor: None }; // which releases the lock
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

    /// Serves on when a successor has failed, whatever it has done to the names.
    async fn resume(&mut self, lock: Lock) {
        if let Hold::Lent { kept: Some(kept), .. } = &self.hold {
            for name in self.place.names() {
                name.restore(kept).await;
            }
        }
        self.hold = Hold::Held(lock);
    }

    /// Tries until it succeeds: another process may hold the lock, or this one may have no file descriptor left.
    async fn retake_lock(&self) -> Lock {
        let mut tries = 0;
        loop {
            match self.place.take_lock() {
                Ok(lock) => return lock,
                Err(error) => {
                    tries += 1;
                    if tries == TRIES_BEFORE_WARNING {
                        let path = self.place.path.display();
                        warn!("a takeover of {path} failed, and its lock cannot be taken again yet: {error}");
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
