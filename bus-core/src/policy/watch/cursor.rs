//! Rows come, and the position stays.

use std::time::Duration;

use super::Sign;
use super::days::words;
use crate::vocabulary::Moment;

/// So many rounds in a row: a page or two of one second's changes is nothing.
const ROUNDS: u32 = 5;
/// A source that says "there is more" and does not move makes no progress at all.
const TURNING: Duration = Duration::from_secs(600);
/// A position in days stays for a day although rows come; one that stays for longer does not follow the changes.
const STANDING: Duration = Duration::from_secs(26 * 3600);

/// What one round of reading showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorRound {
    /// Other rows came than the time before.
    pub changed: bool,
    /// The source says that another page is ready.
    pub more: bool,
    /// The position is another one than before.
    pub moved: bool,
}

/// Remembers since when the position stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct CursorWatch {
    since: Option<Moment>,
    rounds: u32,
}

impl CursorWatch {
    /// What is known from before a restart.
    pub fn stands_since(&mut self, since: Moment) {
        self.since = Some(since);
    }

    /// Since when it has stayed although rows came.
    pub fn since(&self) -> Option<Moment> {
        self.since
    }

    /// One round that succeeded.
    pub fn judge(&mut self, round: CursorRound, now: Moment) -> Sign {
        if round.moved {
            *self = Self::default();
            return Sign::Good;
        }
        if !round.changed && !round.more {
            return Sign::Unknown; // The overlap, read again.
        }
        let since = *self.since.get_or_insert(now);
        self.rounds += 1;
        let limit = if round.more { TURNING } else { STANDING };
        if self.rounds < ROUNDS || since.until(now) < limit {
            return Sign::Unknown;
        }
        Sign::Bad(format!("rows come, but the position has stayed the same for more than {}", words(limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_stays_while_rows_come_is_told_and_one_of_days_is_not() {
        let minute = |n: i64| Moment(n * 60_000);
        let round = |changed, more, moved| CursorRound { changed, more, moved };
        let mut watch = CursorWatch::default();
        for n in 0..24 * 60 {
            assert_eq!(watch.judge(round(n % 7 == 0, false, false), minute(n)), Sign::Unknown, "a day's position");
        }
        assert!(matches!(watch.judge(round(true, false, false), minute(26 * 60)), Sign::Bad(_)));
        assert_eq!(watch.judge(round(true, false, true), minute(26 * 60 + 1)), Sign::Good);

        // Known from before a restart: only the rounds are counted anew.
        let mut watch = CursorWatch::default();
        watch.stands_since(minute(0));
        let later: Vec<_> = (0..5).map(|n| watch.judge(round(true, false, false), minute(27 * 60 + n))).collect();
        assert!(later[..4].iter().all(|sign| *sign == Sign::Unknown) && matches!(later[4], Sign::Bad(_)));
        assert_eq!(watch.since(), Some(minute(0)));

        let turning: Vec<_> = (0..12).map(|n| watch.judge(round(false, true, false), minute(n))).collect();
        assert!(turning[..10].iter().all(|sign| *sign == Sign::Unknown) && matches!(turning[10], Sign::Bad(_)));
    }
}
