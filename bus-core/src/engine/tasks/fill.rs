//! How many rows of a task stand in a route's line: about ten seconds' worth, because a live message of the same key
//! stands behind them. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// As many at first, and for a receiver that takes one a second.
const FEWEST: usize = 8;
/// No receiver is kept busier by more (the worker has 256 rows in hand).
const MOST: usize = 200;
/// What is put there should be gone after this time.
const SOON: Duration = Duration::from_secs(10);

/// The fill of one route's line.
#[derive(Debug, Clone)]
pub(super) struct Fill {
    target: usize,
    /// When rows were added last.
    added: Option<Instant>,
}

impl Default for Fill {
    fn default() -> Self {
        Self { target: FEWEST, added: None }
    }
}

impl Fill {
    /// How many rows may be added now that so many are there.
    pub fn room(&mut self, loaded: u64, now: Instant) -> usize {
        let loaded = usize::try_from(loaded).unwrap_or(usize::MAX);
        let since = self.added.map(|added| now.saturating_duration_since(added));
        match since {
            Some(since) if loaded == 0 && since < SOON / 2 => self.target = (self.target * 2).min(MOST),
            Some(since) if loaded * 2 > self.target && since >= SOON => {
                self.target = (self.target / 2).max(FEWEST);
                self.added = Some(now);
            }
            _ => {}
        }
        // Filled up only when it is half empty, so that rows go over in groups.
        let room = if loaded * 2 > self.target { 0 } else { self.target - loaded };
        if room > 0 {
            self.added = Some(now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_receiver_gets_more_and_a_slow_one_little() {
        let (mut fill, mut now) = (Fill::default(), Instant::now());
        assert_eq!(fill.room(0, now), FEWEST);
        for _ in 0..8 {
            now += Duration::from_millis(200);
            fill.room(0, now);
        }
        assert_eq!(fill.target, MOST);
        assert_eq!(fill.room(150, now), 0, "enough for now");
        for _ in 0..8 {
            now += SOON;
            fill.room(190, now);
        }
        assert_eq!(fill.target, FEWEST);
        assert_eq!(fill.room(190, now), 0);
        assert_eq!(fill.room(2, now), FEWEST - 2);
    }
}
