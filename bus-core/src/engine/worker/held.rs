//! Messages that wait for something of their own: for a map to know a value, for what they refer to to be delivered. They
//! wait in `waiting`, are looked at again and again, and when their time is over they are dead letters.

use std::collections::HashMap;
use std::time::Duration;

use super::Worker;
use super::item::Item;
use crate::ports::shape::Hold;
use crate::ports::state::{Change, HoldReason, WaitingRow};
use crate::vocabulary::{MessageId, Moment};

/// The first look again: what a message waits for is usually on its way already.
const SOON: Duration = Duration::from_millis(500);
/// The longest pause between looks. 10 000 rows, all that a route keeps waiting, are then 330 looks a second.
pub(super) const SELDOM: Duration = Duration::from_secs(30);

/// Since when the messages in hand have been held. At most as many as rows of `waiting` are in hand.
#[derive(Default)]
pub(super) struct Held(HashMap<MessageId, Moment>);

impl Held {
    /// A row of `waiting` is in hand from now on.
    pub fn note(&mut self, row: &WaitingRow) {
        if let Some(since) = row.held_since {
            self.0.insert(row.envelope.id, since);
        }
    }

    /// Since when the message has been held, if it was. It is decided on now, so nothing has to be remembered.
    pub fn take(&mut self, id: &MessageId) -> Option<Moment> {
        if self.0.is_empty() { None } else { self.0.remove(id) }
    }
}

impl Worker {
    /// Aside, with everything of its key behind it, until it is looked at again; its time over, it is a dead letter.
    pub(super) fn hold_for(&mut self, item: Item, hold: Hold, held_since: Option<Moment>, reason: HoldReason) {
        let now = Moment::now();
        let since = held_since.unwrap_or(now);
        if let Some(within) = hold.within.filter(|within| now >= since.after(*within)) {
            let seconds = within.as_secs();
            let logged = format!("{} did not answer within {seconds} s", hold.subject);
            let said = hold.late.map(|late| {
                let why = late.why.map(|why| format!("; {why}")).unwrap_or_default();
                format!("{} within {seconds} s (since {since}){why}", late.what)
            });
            return self.bury_late(item, reason.as_str(), said, logged);
        }
        let again = look_again(since, now, hold.within);
        if held_since.is_none() && item.is_waiting() {
            self.note_held(&item, reason, again);
        }
        let id = item.envelope.id;
        self.set_aside(item, reason, again, false);
        let until = hold.within.map(|within| format!(" (until {} at most)", since.after(within)));
        let what = hold.what + &until.unwrap_or_default();
        self.pending.push_plain(Change::Await { id, what, since });
    }
}

/// Half as long again as it has waited, so that a fresh one is looked at soon and an old one costs little; never later
/// than its last moment.
fn look_again(since: Moment, now: Moment, within: Option<Duration>) -> Moment {
    let waited = Duration::from_millis(u64::try_from(now.0 - since.0).unwrap_or(0));
    let next = now.after((waited / 2).clamp(SOON, SELDOM));
    within.map_or(next, |within| next.min(since.after(within)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_grow_rarer_and_the_last_moment_is_not_missed() {
        let at = |waited: u64, within: Option<u64>| {
            let (since, now) = (Moment(1_000), Moment(1_000).after(Duration::from_millis(waited)));
            look_again(since, now, within.map(Duration::from_millis)).0 - now.0
        };
        assert_eq!([at(0, None), at(900, None), at(10_000, None), at(900_000, None)], [500, 500, 5_000, 30_000]);
        assert_eq!([at(9_800, Some(10_000)), at(0, Some(3_600_000))], [200, 500]);
    }
}
