//! Everything at once: `latest`, holds (`requires` and maps), `schedule`, `batch`, retries, letters that come back, `resend`,
//! `load`, `rewind`, pauses and reloads, over receivers that misbehave, while the bus is killed.
//!
//! Here too all ledgers are held (`between.rs`): issued → handed → confirmed → delivered, of all three streams.

mod deeds;
mod life;
mod routes;
mod verdict;

pub use deeds::Deed;
pub use verdict::Judged;

use std::collections::BTreeMap;

use anyhow::Result;
use fastrand::Rng;

use self::routes::File;
use super::pusher::Door;
use super::scene::{KEY, Scene};
use super::seed::Seed;
use crate::servers::Postgres;

/// Keys of the table; few, so that they change again while an older version is under way.
const KEYS: usize = 20;

/// Users of each sender of [`super::pusher::Pusher`]. Orders refer to them.
pub const USERS: u64 = 6;

/// Keys of each sender of stock.
pub const STOCK: u64 = 4;

/// See the module.
pub struct Together {
    /// The program, its source and its receivers.
    pub scene: Scene,
    file: File,
    rng: Rng,
    paused: Vec<(&'static str, &'static str)>,
    done: BTreeMap<&'static str, usize>,
}

impl Together {
    /// Everything but the bus runs. No `rabbitmq` is the embedded broker; `batch` records share a request at first, where 0
    /// is none.
    pub async fn new(postgres: &Postgres, rabbitmq: Option<String>, seed: Seed, batch: u64) -> Result<Self> {
        let file = File { rabbitmq: rabbitmq.is_some(), late: false, concurrency: 4, batch };
        let scene = Scene::of(postgres, rabbitmq, false, KEYS, seed, |addresses| file.text(addresses)).await?;
        Ok(Self { scene, file, rng: seed.part(2_000), paused: Vec::new(), done: BTreeMap::new() })
    }

    /// Where users (`"users"`) and stock (`"stock"`) are pushed.
    pub fn door(&self, stream: &str) -> Door {
        Door { url: format!("{}/in/{stream}", self.scene.bus.url()), key: KEY.to_owned() }
    }

    /// How often each kind of deed was done.
    pub fn done(&self) -> &BTreeMap<&'static str, usize> {
        &self.done
    }
}
