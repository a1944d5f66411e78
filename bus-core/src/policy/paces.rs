//! The pace of a system and the paces of its operations: a request of an operation needs a permit of both, taken at the
//! same instant, so that neither bound is exceeded in any window. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Now;
use super::pace::Pacer;

/// See the module's comment. A system, or an operation, without a pacer has no bound.
#[derive(Debug, Default)]
pub struct Paces {
    system: Option<Pacer>,
    operations: BTreeMap<String, Pacer>,
}

impl Paces {
    /// The system's pace, and one for each operation that has its own.
    pub fn new(system: Option<Pacer>, operations: BTreeMap<String, Pacer>) -> Self {
        Self { system, operations }
    }

    /// How long until a permit may be there for a request of this operation; ask again then. `None`: closed for days.
    pub fn next_grant(&mut self, operation: Option<&str>, now: Now) -> Option<Duration> {
        let own = self.own_grant(operation, now)?;
        match &mut self.system {
            Some(pacer) => Some(own.max(pacer.next_grant(now)?)),
            None => Some(own),
        }
    }

    /// How long until the operation's own pace allows a request, whatever the system's says.
    pub fn own_grant(&mut self, operation: Option<&str>, now: Now) -> Option<Duration> {
        match operation.and_then(|name| self.operations.get_mut(name)) {
            Some(pacer) => pacer.next_grant(now),
            None => Some(Duration::ZERO),
        }
    }

    /// Takes a permit of each, now, at the moment of sending; `false` takes none.
    #[must_use]
    pub fn grant(&mut self, operation: Option<&str>, now: Now) -> bool {
        // Asking takes nothing: a permit that one of them gave would be lost if the other refused.
        if self.own_grant(operation, now) != Some(Duration::ZERO) {
            return false;
        }
        if self.system.as_mut().is_some_and(|pacer| !pacer.grant(now)) {
            return false;
        }
        operation.and_then(|name| self.operations.get_mut(name)).is_none_or(|pacer| pacer.grant(now))
    }

    /// The system asked for less. What it says, it says of itself: the paces of its operations stay as they are.
    pub fn throttled(&mut self, now: Now, retry_after: Duration) {
        if let Some(pacer) = &mut self.system {
            pacer.throttled(now, retry_after);
        }
    }

    /// The system's own pacer, which learns how its requests fare.
    pub fn system_mut(&mut self) -> Option<&mut Pacer> {
        self.system.as_mut()
    }

    /// The system's own pacer.
    pub fn system(&self) -> Option<&Pacer> {
        self.system.as_ref()
    }

    /// The share of the system's profile in use after slow-downs; `None` without a profile.
    pub fn share(&self) -> Option<f64> {
        self.system.as_ref().map(Pacer::share)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::clock::{Micros, Tick};
    use super::super::excess::max_excess;
    use super::super::profile::Profile;
    use super::super::profile::tests::{any_instant, any_profile};
    use super::*;

    fn at(start: Micros, micros: i64) -> Now {
        Now { wall: Micros(start.0 + micros), mono: Tick(Duration::from_micros(micros as u64)) }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Two operations and requests of none compete for one system: in no window more than its integral and one, for
        /// the system and for each operation alike.
        #[test]
        fn both_bounds_hold_in_every_window(
            (windows, zone) in any_profile(), (upload, upload_zone) in any_profile(), start in any_instant(),
            steps in prop::collection::vec((0_usize..3, 0_i64..90_000_000, 0_i64..300_000), 1..200),
        ) {
            let system = Profile::new(&windows, zone).unwrap();
            let profiles = [("upload", Profile::new(&upload, upload_zone).unwrap()), ("price", Profile::always("7/min".parse().unwrap()))];
            let begin = at(start, 0);
            let pacer = |profile: &Profile| Pacer::new(profile.clone(), 0.0, begin);
            let own = profiles.iter().map(|(name, profile)| ((*name).to_owned(), pacer(profile))).collect();
            let mut paces = Paces::new(Some(pacer(&system)), own);
            let (mut elapsed, mut sends) = (0, vec![Vec::new(), Vec::new(), Vec::new()]);
            for (which, idle, late) in steps {
                let operation = profiles.get(which).map(|(name, _)| *name);
                elapsed += idle / 30;
                // The announced time may be too early for the other one: asked again, at most so often.
                for _ in 0..4 {
                    let Some(wait) = paces.next_grant(operation, at(start, elapsed)) else { break };
                    if wait > Duration::from_secs(3600) {
                        break;
                    }
                    elapsed += i64::try_from(wait.as_micros()).unwrap() + late;
                    if paces.grant(operation, at(start, elapsed)) {
                        sends[which].push(Micros(start.0 + elapsed));
                        break;
                    }
                }
            }
            let mut all: Vec<Micros> = sends.concat();
            all.sort_by_key(|send| send.0);
            prop_assert!(max_excess(&all, &system) <= 1e-6);
            for ((name, profile), sends) in profiles.iter().zip(&sends) {
                prop_assert!(max_excess(sends, profile) <= 1e-6, "{name}");
            }
        }
    }

    #[test]
    fn a_refused_request_takes_nothing_and_others_go_on_meanwhile() {
        let start = Micros(0);
        let pacer = |rate: &str| Pacer::new(Profile::always(rate.parse().unwrap()), 0.0, at(start, 0));
        let mut paces = Paces::new(Some(pacer("60/min")), [("upload".to_owned(), pacer("1/min"))].into());
        assert!(paces.grant(Some("upload"), at(start, 0)));
        let second = 1_000_000;
        assert_eq!(paces.next_grant(Some("upload"), at(start, second)), Some(Duration::from_secs(59)));
        assert!(!paces.grant(Some("upload"), at(start, second)));
        assert!(paces.grant(None, at(start, second)), "the refusal took no permit of the system");
        assert!(paces.grant(Some("other"), at(start, 2 * second)), "an operation without a pace has only the system's");
    }
}
