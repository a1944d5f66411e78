//! A disk that fills up.

use std::collections::VecDeque;
use std::time::Duration;

use super::Sign;
use super::days::words;
use crate::vocabulary::Moment;

/// Below this the state store may fail any minute: its log alone may take 64 MB between two checkpoints.
const LEAST: u64 = 1 << 30;
/// Growth is measured over the last hour, and believed after a quarter of one.
const MEASURED: Duration = Duration::from_secs(3600);
const BELIEVED: Duration = Duration::from_secs(900);
/// A disk that is full by then needs a person today.
const SOON: Duration = Duration::from_secs(24 * 3600);

/// What is seen of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLook {
    /// Bytes that we may still write.
    pub free: u64,
    /// Bytes that we hold.
    pub ours: u64,
}

/// Remembers how fast we grow.
#[derive(Debug, Clone, Default)]
pub struct DiskWatch {
    seen: VecDeque<(Moment, u64)>,
}

impl DiskWatch {
    /// One look; once a minute is enough.
    pub fn judge(&mut self, look: DiskLook, now: Moment) -> Sign {
        while self.seen.front().is_some_and(|(at, _)| at.until(now) > MEASURED) {
            self.seen.pop_front();
        }
        self.seen.push_back((now, look.ours));
        let megabytes = look.free >> 20;
        if look.free < LEAST {
            return Sign::Bad(format!("{megabytes} MB are free on the disk of the state store"));
        }
        match self.full_in(look) {
            Some(left) if left < SOON => Sign::Bad(format!(
                "{megabytes} MB are free on the disk of the state store, which grows so fast that it is full in {}",
                words(left)
            )),
            // What has been told is over only with room to spare.
            Some(left) if left < SOON * 3 / 2 => Sign::Unknown,
            _ if look.free < LEAST / 4 * 5 => Sign::Unknown,
            _ => Sign::Good,
        }
    }

    fn full_in(&self, look: DiskLook) -> Option<Duration> {
        let (at, then) = *self.seen.front()?;
        let (now, _) = *self.seen.back()?;
        let over = at.until(now);
        let grown = look.ours.saturating_sub(then);
        if over < BELIEVED || grown == 0 {
            return None;
        }
        let seconds = look.free as f64 / grown as f64 * over.as_secs_f64();
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    #[test]
    fn little_room_or_fast_growth_is_told_and_over_with_room_to_spare() {
        let minute = |n: i64| Moment(n * 60_000);
        let mut watch = DiskWatch::default();
        let mut judge = |free: u64, ours: u64, at| watch.judge(DiskLook { free, ours }, minute(at));
        assert_eq!(judge(50 * GB, 1, 0), Sign::Good);
        assert!(matches!(judge(GB - 1, 1, 1), Sign::Bad(_)));
        assert_eq!(judge(GB + 1, 1, 2), Sign::Unknown);
        assert_eq!(judge(2 * GB, 1, 3), Sign::Good);
        // A gigabyte in twenty minutes: 50 GB last for 17 hours.
        let Sign::Bad(words) = judge(50 * GB, GB, 20) else { panic!("it grows") };
        assert!(words.contains("16 h"), "{words}");
        assert_eq!(judge(100 * GB, GB, 21), Sign::Unknown, "35 hours: not sure yet");
        assert_eq!(judge(200 * GB, GB, 22), Sign::Good);
        assert_eq!(judge(50 * GB, GB, 90), Sign::Good, "an hour later it has not grown any more");
    }

    #[test]
    fn the_first_minutes_of_growth_are_not_believed() {
        let mut watch = DiskWatch::default();
        assert_eq!(watch.judge(DiskLook { free: 50 * GB, ours: 0 }, Moment(0)), Sign::Good);
        assert_eq!(watch.judge(DiskLook { free: 50 * GB, ours: 5 * GB }, Moment(60_000)), Sign::Good);
    }
}
