//! Who is told what, and when: grouped, repeated, quiet at night, and never a storm. Pure: causes, memory and time in, a
//! message out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono_tz::Tz;

use super::cause::Cause;
use super::watch::Calendar;
use super::window::{Days, Hours};
use crate::vocabulary::{IncidentKind, Moment, Severity};

/// No two messages of a channel are nearer than so many times its wait: what opens meanwhile is one message.
const APART: u32 = 3;
/// And there are no more than this in an hour, repeats and resolutions included.
const AN_HOUR: usize = 12;
const HOUR: Duration = Duration::from_secs(3600);

/// What the configuration says about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TellRules {
    /// What opens within this time is one message; what is over by then is none.
    pub wait: Duration,
    /// What stays open is told again after this time.
    pub repeat: Duration,
    /// What is told at all.
    pub level: Severity,
    /// Warnings wait in these hours.
    pub quiet: Option<Hours>,
    /// Where hours are read.
    pub zone: Tz,
    /// Whether the end is told.
    pub resolved: bool,
}

/// A cause by the name that it keeps.
pub type CauseId = (IncidentKind, String);

/// One message to send now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Told for the first time.
    pub new: Vec<CauseId>,
    /// Still open, told again.
    pub again: Vec<CauseId>,
    /// Over.
    pub over: Vec<CauseId>,
    /// Over, and nobody wants to hear of it.
    pub forgotten: Vec<CauseId>,
}

impl Due {
    /// Nothing to send.
    pub fn is_silent(&self) -> bool {
        self.new.is_empty() && self.again.is_empty() && self.over.is_empty()
    }
}

/// The memory of one channel. `told` is durable, so that no storm follows a restart.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    /// When each cause was told last.
    told: BTreeMap<CauseId, Moment>,
    /// Since when a told cause is gone; it may come back before that is told.
    gone: BTreeMap<CauseId, Moment>,
    /// When messages were sent, within the last hour.
    sent: VecDeque<Moment>,
}

impl Teller {
    /// Goes on from what a predecessor told.
    pub fn resume(told: impl IntoIterator<Item = (CauseId, Moment)>) -> Self {
        let told: BTreeMap<_, _> = told.into_iter().collect();
        let mut sent: Vec<_> = told.values().copied().collect();
        sent.sort();
        sent.dedup();
        Self { told, gone: BTreeMap::new(), sent: sent.into() }
    }

    /// What is to be said now. `open` are the causes that are seen, `exists` says whether a cause has any open incident
    /// (one that only follows from another is not seen, and not over either), `muted` whether it is under maintenance.
    pub fn due(
        &mut self,
        rules: &TellRules,
        open: &[Cause],
        exists: impl Fn(&CauseId) -> bool,
        muted: impl Fn(&Cause) -> bool,
        now: Moment,
    ) -> Due {
        while self.sent.front().is_some_and(|sent| sent.until(now) >= HOUR) {
            self.sent.pop_front();
        }
        let mut due = self.over(rules, exists, now);
        let capped =
            self.sent.len() >= AN_HOUR || self.sent.back().is_some_and(|last| last.until(now) < rules.wait * APART);
        if capped {
            return Due { forgotten: due.forgotten, ..Due::default() };
        }
        let wanted = |cause: &&Cause| self.wanted(rules, cause, now) && !muted(cause);
        let (known, new): (Vec<&Cause>, Vec<&Cause>) =
            open.iter().filter(wanted).partition(|cause| self.told.contains_key(&id(cause)));
        // One that has waited takes the younger ones along.
        if new.iter().any(|cause| cause.first.since.until(now) >= rules.wait) {
            due.new = new.into_iter().map(id).collect();
        }
        let repeat = |cause: &&&Cause| self.told[&id(cause)].until(now) >= rules.repeat;
        if known.iter().any(|cause| repeat(&cause)) {
            due.again = known.into_iter().map(id).collect();
        }
        due
    }

    fn over(&mut self, rules: &TellRules, exists: impl Fn(&CauseId) -> bool, now: Moment) -> Due {
        let mut due = Due::default();
        for id in self.told.keys() {
            if exists(id) {
                self.gone.remove(id);
                continue;
            }
            let since = *self.gone.entry(id.clone()).or_insert(now);
            if since.until(now) < rules.wait {
                continue;
            }
            let quiet = id.0.severity() == Severity::Warning && self.is_quiet(rules, now);
            match rules.resolved {
                true if !quiet => due.over.push(id.clone()),
                true => {}
                false => due.forgotten.push(id.clone()),
            }
        }
        due
    }

    fn wanted(&self, rules: &TellRules, cause: &Cause, now: Moment) -> bool {
        let severity = cause.kind.severity();
        severity >= rules.level && (severity == Severity::Critical || !self.is_quiet(rules, now))
    }

    fn is_quiet(&self, rules: &TellRules, now: Moment) -> bool {
        let open = |hours| Calendar { days: Days::ALL, hours, zone: rules.zone }.open_for(now);
        rules.quiet.is_some_and(|hours| open(hours).is_some())
    }

    /// The message was sent and noted.
    pub fn sent(&mut self, due: &Due, now: Moment) {
        if !due.is_silent() {
            self.sent.push_back(now);
        }
        for id in due.new.iter().chain(&due.again) {
            self.told.insert(id.clone(), now);
        }
        for id in due.over.iter().chain(&due.forgotten) {
            self.told.remove(id);
            self.gone.remove(id);
        }
    }
}

fn id(cause: &Cause) -> CauseId {
    (cause.kind, cause.group.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Topology;
    use crate::vocabulary::Incident;
    use IncidentKind::{DeadLetters, SystemDown};

    const SECOND: i64 = 1000;

    fn rules() -> TellRules {
        TellRules {
            wait: Duration::from_secs(10),
            repeat: Duration::from_secs(4 * 3600),
            level: Severity::Warning,
            quiet: None,
            zone: chrono_tz::UTC,
            resolved: true,
        }
    }

    struct Channel {
        rules: TellRules,
        teller: Teller,
        open: Vec<(IncidentKind, &'static str, i64)>,
        muted: bool,
    }

    impl Channel {
        fn new(rules: TellRules) -> Self {
            Self { rules, teller: Teller::default(), open: Vec::new(), muted: false }
        }

        /// The message sent at a second, as `+new ~again -over`.
        fn at(&mut self, second: i64) -> String {
            let now = Moment(second * SECOND);
            let incident = |(kind, subject, since): &(IncidentKind, &str, i64)| Incident {
                kind: *kind,
                subject: (*subject).into(),
                message: String::new(),
                remedy: String::new(),
                since: Moment(since * SECOND),
                last: now,
                count: 1,
                closed: None,
            };
            let open: Vec<_> = self.open.iter().map(incident).collect();
            let causes = Topology::default().causes(&open);
            let exists = |id: &CauseId| open.iter().any(|i| i.kind == id.0 && i.subject == id.1);
            let due = self.teller.due(&self.rules, &causes, exists, |_| self.muted, now);
            self.teller.sent(&due, now);
            let part = |sign: &str, ids: &[CauseId]| ids.iter().map(|id| format!("{sign}{}", id.1)).collect::<Vec<_>>();
            [part("+", &due.new), part("~", &due.again), part("-", &due.over)].concat().join(" ")
        }
    }

    #[test]
    fn what_opens_together_is_one_message_and_what_is_over_at_once_is_none() {
        let mut channel = Channel::new(rules());
        channel.open = vec![(SystemDown, "blink", 100), (SystemDown, "shop", 101)];
        assert_eq!(channel.at(105), "");
        channel.open = vec![(SystemDown, "shop", 101), (SystemDown, "crm", 110)];
        assert_eq!(channel.at(110), "", "nothing is ten seconds old");
        assert_eq!(channel.at(111), "+shop +crm");
        assert_eq!(channel.at(112), "");
    }

    #[test]
    fn the_end_is_told_once_it_lasts_and_what_stays_is_told_again() {
        let mut channel = Channel::new(rules());
        channel.open = vec![(SystemDown, "shop", 0), (SystemDown, "crm", 0)];
        assert_eq!(channel.at(10), "+crm +shop");
        channel.open = vec![(SystemDown, "crm", 0)];
        assert_eq!(channel.at(60), "", "perhaps it blinks");
        channel.open.push((SystemDown, "shop", 65));
        assert_eq!(channel.at(69), "");
        assert_eq!(channel.at(90), "", "back before anybody said that it was over");
        channel.open.pop();
        assert_eq!(channel.at(100), "");
        assert_eq!(channel.at(110), "-shop");
        assert_eq!(channel.at(4 * 3600 + 9), "");
        assert_eq!(channel.at(4 * 3600 + 10), "~crm");
    }

    #[test]
    fn a_restart_repeats_nothing() {
        let mut channel = Channel::new(rules());
        channel.open = vec![(SystemDown, "shop", 0)];
        assert_eq!(channel.at(10), "+shop");
        let told =
            vec![((SystemDown, "shop".to_owned()), Moment(10 * SECOND)), ((SystemDown, "crm".to_owned()), Moment(0))];
        channel.teller = Teller::resume(told);
        assert_eq!(channel.at(50), "");
        assert_eq!(channel.at(60), "-crm", "it was over while nobody ran");
        assert_eq!(channel.at(4 * 3600 + 10), "~shop");
    }

    #[test]
    fn at_night_only_what_hurts_is_told_and_the_rest_in_the_morning() {
        let hours = Hours::new(22 * 60, 7 * 60);
        let mut channel = Channel::new(TellRules { quiet: hours, ..rules() });
        let night = 23 * 3600;
        channel.open = vec![(DeadLetters, "out", night), (SystemDown, "shop", night)];
        assert_eq!(channel.at(night + 10), "+shop");
        assert_eq!(channel.at(night + 8 * 3600), "+out ~shop");
        channel.open = vec![(SystemDown, "shop", night)];
        assert_eq!(channel.at(night + 24 * 3600), "~shop");
        assert_eq!(channel.at(night + 24 * 3600 + 60), "", "the end of a warning waits for the morning too");
        assert_eq!(channel.at(night + 32 * 3600), "~shop -out");
    }

    #[test]
    fn a_channel_for_what_hurts_hears_nothing_else_and_maintenance_mutes() {
        let mut channel = Channel::new(TellRules { level: Severity::Critical, resolved: false, ..rules() });
        channel.open = vec![(DeadLetters, "out", 0), (SystemDown, "shop", 0)];
        channel.muted = true;
        assert_eq!(channel.at(100), "");
        channel.muted = false;
        assert_eq!(channel.at(101), "+shop", "what is still open afterwards is told");
        channel.open.clear();
        assert_eq!(channel.at(200), "");
        assert_eq!(channel.at(300), "");
        assert!(channel.teller.told.is_empty(), "forgotten without a word");
    }

    #[test]
    fn whatever_blinks_there_is_no_storm() {
        let mut channel = Channel::new(rules());
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let mut sent = Vec::new();
        for second in 0..7200_i64 {
            channel.open = names
                .iter()
                .enumerate()
                .filter(|(n, _)| (second / 7 + *n as i64) % 3 == 0)
                .map(|(_, name)| (SystemDown, *name, second - 10))
                .collect();
            if !channel.at(second).is_empty() {
                sent.push(second);
            }
        }
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 30));
        assert!(
            sent.iter().all(|at| sent.iter().filter(|other| (0..3600).contains(&(*other - at))).count() <= AN_HOUR)
        );
        assert!(sent.len() > AN_HOUR, "and it is told all the same");
    }
}
