//! A proxy between the bus and each of its neighbours.

use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::proxy::{Direction, Proxy, Weather};

/// Longer than any request may take, shorter than a heartbeat.
const STALL: Duration = Duration::from_millis(1_300);

/// Dropping it cuts everything.
#[derive(Default)]
pub struct Net {
    proxies: Vec<Proxy>,
}

impl Net {
    /// The address with a proxy in front of its port on 127.0.0.1.
    pub async fn through(&mut self, url: &str) -> Result<String> {
        let (before, rest) = url.split_once("127.0.0.1:").context("an address without a port")?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let proxy = Proxy::start(rest[..end].parse()?).await?;
        let through = format!("{before}127.0.0.1:{}{}", proxy.port(), &rest[end..]);
        self.proxies.push(proxy);
        Ok(through)
    }

    /// The same weather for all of them, on open connections too.
    pub fn set(&self, weather: Weather) {
        self.proxies.iter().for_each(|proxy| proxy.set(weather));
    }

    /// One bad moment of one of them: cut, stalled, refused, or cut in the middle of what is said. Fair again afterwards.
    pub async fn harm(&self, rng: &mut Rng) {
        let proxy = &self.proxies[rng.usize(..self.proxies.len())];
        match rng.u8(..4) {
            0 => {}
            1 => {
                proxy.set(Weather { stall: true, ..Weather::default() });
                tokio::time::sleep(STALL).await;
            }
            2 => {
                proxy.set(Weather { refuse: true, ..Weather::default() });
                proxy.cut();
                tokio::time::sleep(Duration::from_millis(rng.u64(100..800))).await;
            }
            _ => {
                let direction = if rng.bool() { Direction::ToServer } else { Direction::ToClient };
                let cut = Some((direction, rng.u64(1..20_000)));
                proxy.set(Weather { cut, ..Weather::default() });
                proxy.cut();
                tokio::time::sleep(Duration::from_millis(rng.u64(100..800))).await;
            }
        }
        proxy.set(Weather::default());
        proxy.cut();
    }
}
