//! The conservation oracle: whatever happens to the bus, its broker and its receivers, nothing is lost.
//!
//! Three ledgers in every scene. *Issued*: a trigger in the source writes down every committed version of every key
//! ([`source`]), a pusher what the bus has accepted ([`pusher`]). *Delivered*: each receiver, in a process of its own,
//! writes down a request before it answers it. *Dead*: the bus names them, with their records. What is neither is lost.
//!
//! Two more between issued and delivered (`between`) where the bus or its broker is killed often
//! ([`Landscape::subscribed`]) and in [`together`], so that a loss is seen where it happens. *Handed*: what lay below the
//! durable cursor when somebody looked; the source says what that is. *Confirmed*: what a subscriber got. All that was
//! handed must have been confirmed. Of a stream that is read, the last version of each key is owed, because what
//! is overwritten between two reads is never seen; with these ledgers every version that was confirmed is.
//!
//! A [`scene::Scene`] runs the real program between real servers; a test changes the source, does harm, stops doing
//! harm, waits until the bus is idle, and only then asks for the [`verdict`]. Every random choice comes from one seed,
//! which is printed; `ORACLE_SEED` repeats it. What remains random is the scheduling of the machine.

mod between;
mod figures;
mod idle;
mod issued;
mod landscape;
mod mirror;
mod net;
pub mod pusher;
mod read;
pub mod scene;
mod seed;
pub mod source;
pub mod together;
pub mod verdict;

pub use figures::Figures;
pub use idle::idle;
pub use issued::{Issued, Owed, Version};
pub use landscape::Landscape;
pub use net::Net;
pub use scene::{BOOKS, CONFIRMED, ORDERS, Scene, USERS, Verdicts};
pub use seed::Seed;
pub use verdict::{Allowance, Verdict};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Scenes at the same time. Most of a scene's time is waiting: for receivers that a killed bus leaves alone, for retries
/// and for servers that start.
const ABREAST: u32 = 2;

static PLACES: Semaphore = Semaphore::const_new(ABREAST as usize);

/// The right to use the machine beside one other scene, so that one does not starve another.
pub async fn turn() -> SemaphorePermit<'static> {
    PLACES.acquire().await.expect("nobody closes it")
}

/// The right to use it alone, for scenes that measure times.
pub async fn alone() -> SemaphorePermit<'static> {
    PLACES.acquire_many(ABREAST).await.expect("nobody closes it")
}
