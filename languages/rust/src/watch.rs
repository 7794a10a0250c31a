//! Notices that someone has removed the file of a server that serves, or put another in its place.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// How often to look: clients that wait for a server dial about as often, and a look takes some microseconds. Nothing
/// such as inotify(7), which tells of nothing on some file systems that containers share.
const PACE: Duration = Duration::from_secs(1);

/// Ends when the file is lost; cancel safe.
pub async fn until(is_lost: impl Fn() -> bool) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !is_lost() {
        pace.tick().await;
    }
}
