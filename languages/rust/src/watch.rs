//! Detects that the socket of a running server was removed or replaced.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// The time between two checks. Clients that wait for a server connect about as often, and a check takes some
/// microseconds. inotify(7) is no alternative, because it reports nothing on some file systems that containers share.
const PACE: Duration = Duration::from_secs(1);

/// Waits until the file is lost. Cancel safe.
pub async fn until(is_lost: impl Fn() -> bool) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !is_lost() {
        pace.tick().await;
    }
}
