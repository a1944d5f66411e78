//! A queue that is not empty, a gate that is open, and nothing that is settled.

use std::time::Duration;

use super::Sign;
use super::days::words;
use crate::vocabulary::Moment;

/// Nothing settled for so long. Longer than any request, any hold and any reconnect of the broker's.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is seen of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerLook {
    /// Messages in its queue, unsettled ones included.
    pub queued: u64,
    /// Nothing keeps it from sending: gate and breaker are open, it is not paused.
    pub may_send: bool,
    /// Rises with everything that it does: attempts, outcomes, messages put aside.
    pub progress: u64,
}

/// Remembers since when nothing has moved.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConsumerWatch {
    still: Option<(u64, Moment)>,
}

impl ConsumerWatch {
    /// One look.
    pub fn judge(&mut self, look: ConsumerLook, now: Moment) -> Sign {
        if look.queued == 0 {
            self.still = None;
            return Sign::Good;
        }
        match self.still {
            Some((progress, _)) if progress != look.progress => {
                self.still = Some((look.progress, now));
                Sign::Good
            }
            _ if !look.may_send => {
                self.still = Some((look.progress, now));
                Sign::Unknown
            }
            None => {
                self.still = Some((look.progress, now));
                Sign::Unknown
            }
            Some((_, since)) if since.until(now) >= PATIENCE => {
                Sign::Bad(format!("{} messages wait and nothing was settled for {}", look.queued, words(PATIENCE)))
            }
            Some(_) => Sign::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_route_that_could_send_and_does_not_is_stuck() {
        let minute = |n: i64| Moment(n * 60_000);
        let look = |queued, may_send, progress| ConsumerLook { queued, may_send, progress };
        let mut watch = ConsumerWatch::default();
        assert_eq!(watch.judge(look(5, true, 1), minute(0)), Sign::Unknown);
        assert_eq!(watch.judge(look(5, true, 1), minute(9)), Sign::Unknown);
        assert!(matches!(watch.judge(look(5, true, 1), minute(10)), Sign::Bad(_)));
        assert_eq!(watch.judge(look(5, true, 2), minute(11)), Sign::Good, "it moves");
        assert_eq!(watch.judge(look(5, false, 2), minute(18)), Sign::Unknown, "closed hours");
        assert_eq!(watch.judge(look(5, true, 2), minute(27)), Sign::Unknown, "open for nine minutes");
        assert!(matches!(watch.judge(look(5, true, 2), minute(28)), Sign::Bad(_)));
        assert_eq!(watch.judge(look(0, true, 2), minute(29)), Sign::Good);
    }
}
