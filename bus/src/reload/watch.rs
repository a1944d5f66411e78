//! Reloads by themselves: the files are looked at every second, and read when they have come to rest.
//!
//! Looking needs no help of the file system, so it works on network drives, in containers whose configuration is a
//! symbolic link that moves, and with every editor's way of saving (ADR 0016).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::{Dropped, Reloader};

/// Between looks.
const LOOK: Duration = Duration::from_secs(1);

/// Until dropped. Files that were refused are not tried again before they change.
pub async fn follow(reloader: Arc<Reloader>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        ticks.tick().await;
        let now = reloader.files.fresh();
        // Two looks alike: nobody is in the middle of saving several files.
        if now.is_some() && now == before {
            let reloading = Arc::clone(&reloader);
            // The outcome is in the log and in the incidents.
            let _ = tokio::spawn(async move { reloading.reload(&Dropped::default()).await }).await;
        }
        before = now;
    }
}
