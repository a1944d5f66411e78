//! Acknowledgements of one consumer, told to the broker in groups.
//!
//! lapin resolves an ack when its frame has been written, a hop to its I/O thread and back, and RabbitMQ puts each ack
//! of a quorum queue into its log: one by one they cost both sides more than the messages themselves. Outcomes come in
//! groups and nearly in order, so most acks are covered by one frame that says "everything up to here". It never says so
//! of a message that is not settled.
//!
//! A crash, or the end of the channel, before the frame is written brings those messages again, as it does for an ack
//! that was written and not read: the fence absorbs both.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use lapin::Channel;
use lapin::options::BasicAckOptions;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::session::Session;

/// While the message before them is under way, later ones are told after this time: long enough for all but stuck
/// ones, short enough that they hold no place of the prefetch that anybody would miss.
const PATIENCE: Duration = Duration::from_millis(20);

/// What of one channel is settled, and what of that the broker has been told.
pub(crate) struct Acks {
    channel: Channel,
    settled: Mutex<Settled>,
    noted: Notify,
}

impl Acks {
    /// For a channel on which nothing was delivered yet.
    pub(crate) fn new(channel: Channel) -> Self {
        Self { channel, settled: Mutex::default(), noted: Notify::new() }
    }

    /// The message is settled; the broker hears of it soon.
    pub(crate) fn note(&self, tag: u64) {
        self.lock().note(tag);
        self.noted.notify_one();
    }

    /// Tells the broker, until the channel ends. Cancel-safe: [`Acks::tell_rest`] goes on from there.
    pub(crate) async fn tell(&self, session: &Session) {
        while self.channel.status().connected() {
            self.noted.notified().await;
            self.tell_group(session).await;
        }
    }

    /// Returns when nothing that is settled is left untold.
    async fn tell_group(&self, session: &Session) {
        loop {
            let reached = self.hand_over(session, |settled| settled.reached().into_iter().collect(), true);
            join_all(reached).await;
            let deadline = Instant::now() + PATIENCE;
            while self.lock().is_stuck() {
                if timeout_at(deadline, self.noted.notified()).await.is_err() {
                    join_all(self.hand_over(session, Settled::take_untold, false)).await;
                }
            }
            if !self.lock().has_untold() {
                return;
            }
        }
    }

    /// Counts messages as told and hands their frames to the connection in one step: the end of the consumer, in another
    /// thread, would else put its closing frame between the two, and they would come again. Returns what is left to
    /// wait for.
    fn hand_over<'a>(
        &'a self,
        session: &'a Session,
        choose: impl FnOnce(&mut Settled) -> Vec<u64>,
        multiple: bool,
    ) -> Vec<BoxFuture<'a, ()>> {
        let mut settled = self.lock();
        let writes = choose(&mut settled).into_iter().map(|tag| self.write(session, tag, multiple).boxed());
        // The first poll hands the frame over; one that is ready by then needs no second.
        writes.filter_map(|mut write| (&mut write).now_or_never().is_none().then_some(write)).collect()
    }

    async fn write(&self, session: &Session, tag: u64, multiple: bool) {
        let ack = self.channel.basic_ack(tag, BasicAckOptions { multiple });
        if let Err(failure) = session.bounded("an acknowledgement", ack).await {
            // The consumer hears of a lost connection by itself.
            tracing::debug!(%failure, "messages that were settled come again");
        }
    }

    /// For a planted bug: requeues this one message. It stays a gap that no "everything up to here" covers.
    #[cfg(feature = "failpoints")]
    pub(crate) fn give_back(&self, tag: u64) {
        let requeue = lapin::options::BasicNackOptions { multiple: false, requeue: true };
        // The first poll queues the frame.
        let _ = self.channel.basic_nack(tag, requeue).now_or_never();
    }

    /// For the end of the consumer: hands what is untold to the connection, before the closing frame.
    pub(crate) fn tell_rest(&self) {
        let mut settled = self.lock();
        // The first poll queues the frame; nobody waits until it is written.
        if let Some(tag) = settled.reached() {
            let _ = self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).now_or_never();
        }
        for tag in settled.take_untold() {
            let _ = self.channel.basic_ack(tag, BasicAckOptions { multiple: false }).now_or_never();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Settled> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tags count from 1 without a gap, in the order of delivery.
#[derive(Default)]
struct Settled {
    /// Everything up to here is settled and told.
    all_up_to: u64,
    /// Settled above it; `true`: told.
    above: BTreeMap<u64, bool>,
    untold: usize,
}

impl Settled {
    fn note(&mut self, tag: u64) {
        if tag > self.all_up_to && self.above.insert(tag, false).is_none() {
            self.untold += 1;
        }
    }

    /// The tag up to which everything is settled, if the broker does not know it yet. It is counted as told. Always one
    /// that was untold: the broker ends a channel that names a message which it has been told of before.
    fn reached(&mut self) -> Option<u64> {
        let mut reached = None;
        while let Some(told) = self.above.remove(&(self.all_up_to + 1)) {
            self.all_up_to += 1;
            if !told {
                self.untold -= 1;
                reached = Some(self.all_up_to);
            }
        }
        reached
    }

    /// What is settled behind a gap. It is counted as told.
    fn take_untold(&mut self) -> Vec<u64> {
        self.untold = 0;
        let untold = self.above.iter_mut().filter(|(_, told)| !**told);
        untold.map(|(tag, told)| (*tag, std::mem::replace(told, true)).0).collect()
    }

    fn has_untold(&self) -> bool {
        self.untold > 0
    }

    /// Something is untold, and the message before it is not settled.
    fn is_stuck(&self) -> bool {
        self.has_untold() && !self.above.contains_key(&(self.all_up_to + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be told after each group: `=N` up to N, `N` alone.
    fn told(groups: &[(&[u64], bool)]) -> Vec<String> {
        let mut settled = Settled::default();
        let mut told = Vec::new();
        for (group, gap_is_old) in groups {
            group.iter().for_each(|tag| settled.note(*tag));
            told.extend(settled.reached().map(|tag| format!("={tag}")));
            if *gap_is_old {
                told.extend(settled.take_untold().iter().map(ToString::to_string));
            }
        }
        assert_eq!(settled.untold, settled.above.values().filter(|told| !**told).count());
        told
    }

    #[test]
    fn a_group_is_one_frame_and_an_unsettled_message_is_never_covered() {
        type Groups<'a> = &'a [(&'a [u64], bool)];
        let cases: [(Groups<'_>, &[&str]); 6] = [
            (&[(&[1, 2, 3], false)], &["=3"]),
            (&[(&[3, 1, 2], false)], &["=3"]),
            (&[(&[2, 3], false), (&[1], false)], &["=3"]),
            (&[(&[2, 3], true), (&[1], false), (&[4], false)], &["2", "3", "=1", "=4"]),
            (&[(&[1, 3], true), (&[5], true), (&[2, 4], false)], &["=1", "3", "5", "=4"]),
            (&[(&[1], false), (&[1], false)], &["=1"]),
        ];
        for (groups, expected) in cases {
            assert_eq!(told(groups), expected, "{groups:?}");
        }
    }
}
