//! A broker that takes no messages, or that nobody reaches.

use std::time::Duration;

use super::Sign;
use crate::vocabulary::Moment;

/// So long it may take none before somebody is told: a restart with many queues takes 20 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Remembers since when it takes none.
#[derive(Debug, Clone, Copy, Default)]
pub struct BrokerWatch {
    since: Option<Moment>,
}

impl BrokerWatch {
    /// One look; `trouble` is what is wrong, in words.
    pub fn judge(&mut self, trouble: Option<String>, now: Moment) -> Sign {
        let Some(trouble) = trouble else {
            self.since = None;
            return Sign::Good;
        };
        let since = *self.since.get_or_insert(now);
        if since.until(now) >= PATIENCE { Sign::Bad(trouble) } else { Sign::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_told_of_when_it_takes_nothing_for_a_minute() {
        let second = |n: i64| Moment(n * 1000);
        let blocked = || Some("low on disk".to_owned());
        let mut watch = BrokerWatch::default();
        assert_eq!(watch.judge(blocked(), second(0)), Sign::Unknown);
        assert_eq!(watch.judge(blocked(), second(59)), Sign::Unknown);
        assert_eq!(watch.judge(blocked(), second(60)), Sign::Bad("low on disk".into()));
        assert_eq!(watch.judge(None, second(61)), Sign::Good);
        assert_eq!(watch.judge(blocked(), second(62)), Sign::Unknown, "a new trouble");
    }
}
