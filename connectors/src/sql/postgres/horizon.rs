//! Which cursor values no open transaction can slip a row under any more.
//!
//! A transaction that began early may commit late, with a lower value than was read already. So a value that was read
//! stays *pending* beside the transactions that were open then, and the next poll starts again at the last *safe* one.
//! It becomes safe after a whole poll that began when all of them had ended: that poll saw whatever they committed.
//!
//! Open transactions are known in two ways, both open to any user: by the snapshot (those that have written) and by
//! the locks that every transaction holds on its own virtual number (those that have not written yet, but whose
//! `now()` is already fixed). Not covered: values that are assigned outside of the transaction that commits them (an
//! application's clock, numbers handed out in blocks), transactions of two-phase commit that were prepared after the
//! look, and the primary's readers-then-writers when a replica is read; `overlap` is for these.

use crate::sql::position::Pending;

/// More are thinned out: what is lost is only how soon the safe value rises.
const MOST_PENDING: usize = 32;

/// What is open at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// All transactions with a lower number have ended.
    pub(super) xmin: u64,
    /// No transaction has this number or a higher one.
    pub(super) xmax: u64,
    /// Virtual numbers of the open ones.
    pub(super) open: Vec<String>,
}

impl Sight {
    /// From `xmin:xmax:…` and virtual numbers separated by spaces.
    pub(super) fn parse(snapshot: &str, open: &str) -> Option<Self> {
        let mut parts = snapshot.split(':');
        let xmin = parts.next()?.parse().ok()?;
        let xmax = parts.next()?.parse().ok()?;
        Some(Self { xmin, xmax, open: open.split_whitespace().map(str::to_owned).collect() })
    }

    fn ended(&self, pending: &Pending<String>) -> bool {
        self.xmin >= pending.xmax && !pending.open.iter().any(|one| self.open.contains(one))
    }

    /// Nobody was open at the snapshot of `read`, nobody is open now, and nobody wrote in between.
    pub(super) fn quiet_since(&self, read: &Sight) -> bool {
        read.xmin == read.xmax && self.xmin == read.xmax && self.xmax == read.xmax && self.open.is_empty()
    }
}

/// Reads [`Sight`]; `$APP` are our own sessions, which never write. Prepared transactions have no session and show
/// through the lock on their own number.
pub(super) fn sight_query(snapshot_function: &str, application: &str) -> String {
    format!(
        "SELECT {snapshot_function}::text, array_to_string(array(\
           SELECT DISTINCT l.virtualtransaction FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
           WHERE l.granted AND l.mode = 'ExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid() \
             AND (l.locktype = 'virtualxid' OR (l.locktype = 'transactionid' AND l.pid IS NULL)) \
             AND (a.datid IS NULL OR a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())) \
             AND coalesce(a.application_name, '') <> '{application}' \
             AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'walsender')), ' ')"
    )
}

/// Splits off what has become safe: the highest such value, and what is still pending above it.
pub(super) fn promote(pending: Vec<Pending<String>>, now: &Sight) -> (Option<String>, Vec<Pending<String>>) {
    let Some(last) = pending.iter().rposition(|one| now.ended(one)) else { return (None, pending) };
    let mut rest = pending;
    let above = rest.split_off(last + 1);
    (rest.pop().map(|one| one.high), above)
}

/// Adds a value that was just read, beside the transactions open after the reading.
pub(super) fn add(pending: &mut Vec<Pending<String>>, high: String, now: Sight) {
    if pending.len() >= MOST_PENDING {
        pending.pop();
    }
    pending.push(Pending { high, xmax: now.xmax, open: now.open });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sight(xmin: u64, xmax: u64, open: &str) -> Sight {
        Sight::parse(&format!("{xmin}:{xmax}:"), open).unwrap()
    }

    fn pending(high: &str, xmax: u64, open: &str) -> Pending<String> {
        Pending { high: high.into(), xmax, open: open.split_whitespace().map(str::to_owned).collect() }
    }

    #[test]
    fn a_value_is_safe_when_all_that_were_open_have_ended() {
        for (now, safe, left) in [
            (sight(5, 9, "2/1"), None, 2),
            (sight(10, 12, "2/1"), None, 2),
            (sight(9, 12, ""), None, 2),
            (sight(10, 12, "9/9"), Some("a"), 1),
            (sight(20, 20, "9/9"), Some("b"), 0),
        ] {
            let (promoted, rest) = promote(vec![pending("a", 10, "2/1"), pending("b", 20, "")], &now);
            assert_eq!((promoted.as_deref(), rest.len()), (safe, left), "{now:?}");
        }
    }

    #[test]
    fn quiet_means_nobody_then_now_or_between() {
        assert!(sight(7, 7, "").quiet_since(&sight(7, 7, "")));
        assert!(!sight(8, 8, "").quiet_since(&sight(7, 7, "")), "somebody wrote in between");
        assert!(!sight(7, 7, "3/1").quiet_since(&sight(7, 7, "")), "a reader may still write");
        assert!(!sight(8, 8, "").quiet_since(&sight(7, 8, "")), "somebody was open at the snapshot");
    }

    #[test]
    fn pending_values_are_bounded_and_the_oldest_stay() {
        let mut list = Vec::new();
        for i in 0..100 {
            add(&mut list, i.to_string(), sight(1, 1, ""));
        }
        assert_eq!(
            (list.len(), list[0].high.as_str(), list[MOST_PENDING - 1].high.as_str()),
            (MOST_PENDING, "0", "99")
        );
    }
}
