//! The verdict on one route: what was issued against what arrived. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::issued::{Issued, Version};

/// So many examples of each kind are named.
const NAMED: usize = 5;

/// One request at a receiver, in the order of its effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// What its body says it is.
    pub version: Version,
    /// Of its body; see `issued::digest`.
    pub digest: String,
    /// It was answered with 2xx. An effect without that answer may rightly come again.
    pub answered: bool,
}

/// How many repeats the faults of a scene explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Times that the bus was killed, or its broker, or a connection between them.
    pub faults: usize,
    /// Sent and not yet durable as sent, at most: the prefetch, and one version of each key.
    pub window: usize,
    /// An effect that was not answered with 2xx may come again: the receiver can be told the same twice.
    pub unanswered: bool,
}

impl Allowance {
    /// Nothing explains a repeat: the receiver must not see anything twice.
    pub const NONE: Allowance = Allowance { faults: 0, window: 0, unanswered: false };
}

/// See the module. The lists are of what must not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Versions that the source committed.
    pub issued: usize,
    /// Effects at the receiver.
    pub arrivals: usize,
    /// Different versions among them.
    pub delivered: usize,
    /// Versions that a later one replaced before the bus saw them.
    pub superseded: usize,
    /// Versions that the route's filter does not take.
    pub filtered: usize,
    /// Versions that are dead letters.
    pub dead: usize,
    /// Arrivals beyond a version's first.
    pub repeats: usize,
    /// Repeats that no fault explains.
    pub unexplained: usize,
    /// Owed, and neither delivered nor dead.
    pub lost: Vec<Version>,
    /// The body is not what was issued.
    pub corrupted: Vec<Version>,
    /// Never issued, or not for this receiver.
    pub unexpected: Vec<Version>,
    /// A key's version arrived after a newer one of the same key.
    pub went_back: Vec<Version>,
}

impl Verdict {
    /// Judges one route. `dead` are the versions of its dead letters.
    pub fn judge(issued: &Issued, arrivals: &[Arrival], dead: &HashSet<Version>, allowance: Allowance) -> Self {
        let mut verdict = Self {
            issued: issued.len(),
            arrivals: arrivals.len(),
            dead: dead.len(),
            filtered: issued.filtered(),
            ..Self::default()
        };
        let mut newest: HashMap<&str, u64> = HashMap::new();
        let mut seen: HashSet<&Version> = HashSet::new();
        let mut unanswered = 0;
        for arrival in arrivals {
            let version = &arrival.version;
            match issued.get(version) {
                Some(content) if !content.wanted => verdict.unexpected.push(version.clone()),
                Some(content) if content.digest != arrival.digest => verdict.corrupted.push(version.clone()),
                Some(_) => {}
                None => verdict.unexpected.push(version.clone()),
            }
            if !seen.insert(version) {
                verdict.repeats += 1;
            }
            let newest = newest.entry(&version.key).or_default();
            if version.number < *newest {
                verdict.went_back.push(version.clone());
            }
            *newest = version.number.max(*newest);
            unanswered += usize::from(!arrival.answered);
        }
        verdict.delivered = seen.len();
        let Allowance { faults, window, unanswered: may } = allowance;
        verdict.unexplained = verdict.repeats.saturating_sub(faults * window + if may { unanswered } else { 0 });
        let owed: BTreeSet<Version> = issued.obligations().collect();
        verdict.lost =
            owed.iter().filter(|version| !seen.contains(version) && !dead.contains(version)).cloned().collect();
        let arrived = seen.iter().filter(|version| issued.get(version).is_some_and(|content| content.wanted)).count();
        let only_dead = dead.iter().filter(|version| !seen.contains(version)).count();
        let known = arrived + only_dead + verdict.lost.len() + verdict.filtered;
        verdict.superseded = issued.len().saturating_sub(known);
        verdict
    }

    /// Nothing that must not be.
    pub fn is_clean(&self) -> bool {
        let lists = [&self.lost, &self.corrupted, &self.unexpected, &self.went_back];
        lists.iter().all(|list| list.is_empty()) && self.unexplained == 0
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "issued {}, delivered {}, superseded {}, filtered {}, dead {}, repeats {}, lost {}",
            self.issued,
            self.delivered,
            self.superseded,
            self.filtered,
            self.dead,
            self.repeats,
            self.lost.len()
        )?;
        if self.unexplained > 0 {
            write!(f, ", UNEXPLAINED REPEATS {}", self.unexplained)?;
        }
        let bad = [
            ("LOST", &self.lost),
            ("CORRUPTED", &self.corrupted),
            ("UNEXPECTED", &self.unexpected),
            ("WENT BACK", &self.went_back),
        ];
        for (name, versions) in bad.into_iter().filter(|(_, versions)| !versions.is_empty()) {
            let some: Vec<String> = versions.iter().take(NAMED).map(ToString::to_string).collect();
            write!(f, ", {name} {}: {}", versions.len(), some.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::issued::{Content, Owed};
    use super::*;

    fn issued(owed: Owed, versions: &[(&str, u64)]) -> Issued {
        let mut issued = Issued::new(owed);
        for (key, number) in versions {
            let content = Content { digest: format!("{key}{number}"), wanted: *key != "тихий" };
            issued.add(Version::new(*key, *number), content);
        }
        issued
    }

    fn arrivals(versions: &[(&str, u64)]) -> Vec<Arrival> {
        let arrival = |(key, number): &(&str, u64)| Arrival {
            version: Version::new(*key, *number),
            digest: format!("{key}{number}"),
            answered: true,
        };
        versions.iter().map(arrival).collect()
    }

    /// Lost, unexpected, went back, repeats, superseded.
    type Counts = (usize, usize, usize, usize, usize);

    #[test]
    fn each_kind_of_harm_is_seen() {
        let source = [("а", 1), ("а", 2), ("а", 3), ("б", 1), ("тихий", 1)];
        type Case<'a> = (&'a str, Owed, &'a [(&'a str, u64)], Counts);
        let cases: [Case<'_>; 8] = [
            ("all", Owed::Every, &[("а", 1), ("б", 1), ("а", 2), ("а", 3)], (0, 0, 0, 0, 0)),
            ("overwritten before it was read", Owed::Last, &[("а", 3), ("б", 1)], (0, 0, 0, 0, 2)),
            ("one in the middle is missing", Owed::Every, &[("а", 1), ("а", 3), ("б", 1)], (1, 0, 0, 0, 0)),
            ("the last is missing", Owed::Last, &[("а", 1), ("а", 2), ("б", 1)], (1, 0, 0, 0, 0)),
            ("back after the newer", Owed::Last, &[("а", 3), ("а", 2), ("б", 1)], (0, 0, 1, 0, 1)),
            ("repeated at once", Owed::Last, &[("а", 3), ("а", 3), ("б", 1)], (0, 0, 0, 1, 2)),
            ("never issued", Owed::Last, &[("а", 3), ("б", 1), ("б", 9)], (0, 1, 0, 0, 2)),
            ("not for this receiver", Owed::Last, &[("а", 3), ("б", 1), ("тихий", 1)], (0, 1, 0, 0, 2)),
        ];
        for (name, owed, arrived, expected) in cases {
            let allowance = Allowance { faults: 1, window: 1, unanswered: false };
            let verdict = Verdict::judge(&issued(owed, &source), &arrivals(arrived), &HashSet::new(), allowance);
            let lists = (verdict.lost.len(), verdict.unexpected.len(), verdict.went_back.len());
            let counts = (lists.0, lists.1, lists.2, verdict.repeats, verdict.superseded);
            assert_eq!(counts, expected, "{name}: {verdict}");
            assert_eq!(verdict.is_clean(), lists == (0, 0, 0), "{name}: {verdict}");
        }
    }

    #[test]
    fn a_dead_letter_is_no_loss() {
        let source = issued(Owed::Last, &[("а", 1)]);
        let dead = HashSet::from([Version::new("а", 1)]);
        assert!(Verdict::judge(&source, &[], &dead, Allowance::NONE).is_clean());
        assert!(!Verdict::judge(&source, &[], &HashSet::new(), Allowance::NONE).is_clean());
    }

    #[test]
    fn a_changed_body_is_corrupted() {
        let mut arrived = arrivals(&[("а", 1)]);
        arrived[0].digest = "other".into();
        let verdict = Verdict::judge(&issued(Owed::Last, &[("а", 1)]), &arrived, &HashSet::new(), Allowance::NONE);
        assert_eq!(verdict.corrupted, [Version::new("а", 1)]);
    }

    #[test]
    fn repeats_need_a_fault_or_a_missing_answer() {
        let source = issued(Owed::Last, &[("а", 1)]);
        let mut arrived = arrivals(&[("а", 1), ("а", 1), ("а", 1)]);
        arrived[0].answered = false;
        for (faults, unanswered, unexplained) in
            [(0, false, 2), (1, false, 1), (2, false, 0), (0, true, 1), (1, true, 0)]
        {
            let allowance = Allowance { faults, window: 1, unanswered };
            let verdict = Verdict::judge(&source, &arrived, &HashSet::new(), allowance);
            assert_eq!(verdict.unexplained, unexplained, "{allowance:?}");
        }
    }
}
