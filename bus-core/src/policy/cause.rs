//! One incident per cause: a dead shop is one, with its routes under it, not one per route.
//!
//! Troubles are noticed where they show, so several can have one cause. Which belong together depends only on kind,
//! subject and topology, never on what else is open, so that a cause keeps its name while it grows and shrinks.

use std::collections::BTreeMap;

use crate::vocabulary::{Incident, IncidentKind as Kind};

/// What the state store's own trouble is called, whoever notices it.
const STATE: &str = "state store";
/// The same of the broker's.
const BROKER: &str = "broker";

/// The subject of trouble with the broker as a whole. Not the name of a stream, which has no space: what is published to one
/// in vain is told under its name.
pub const THE_BROKER: &str = "the broker";

/// Who depends on whom, as far as `routes.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The system that a route writes to.
    pub route: BTreeMap<String, String>,
    /// The system that a feed reads.
    pub feed: BTreeMap<String, String>,
}

/// Open incidents of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What kind.
    pub kind: Kind,
    /// The name it keeps, for who remembers whom was told: the system, where it groups by systems.
    pub group: String,
    /// The one subject where there is one, else the group.
    pub subject: String,
    /// The system that it concerns, for maintenance.
    pub system: Option<String>,
    /// The incident that began first.
    pub first: Incident,
    /// How often all of them were seen.
    pub count: u64,
    /// All of them, the first included.
    pub members: Vec<Incident>,
    /// Routes that wait because of it.
    pub routes: Vec<String>,
}

impl Topology {
    /// The system that an incident concerns.
    pub fn system<'a>(&'a self, kind: Kind, subject: &'a str) -> Option<&'a str> {
        let found = match kind {
            Kind::SystemDown | Kind::CertificateEnding => return Some(subject),
            Kind::RoutePaused | Kind::Gap | Kind::ConsumerStuck | Kind::BacklogLate | Kind::DeadLetters => {
                self.route.get(subject)
            }
            Kind::SourceFailing
            | Kind::SourceMaintenance
            | Kind::FeedStopped
            | Kind::SourceChanged
            | Kind::SchemaDrift
            | Kind::TooManyDeletions
            | Kind::UntakenEntity
            | Kind::UnreadableRecords
            | Kind::SourceSilent
            | Kind::CursorStuck => self.feed.get(subject),
            Kind::StoreFailing
            | Kind::BrokerDown
            | Kind::JobCrashed
            | Kind::ConfigRefused
            | Kind::DiskFilling
            | Kind::PausedByPerson
            | Kind::SubscriberBehind
            | Kind::MapStale => None,
        };
        found.map(String::as_str)
    }

    /// Kind and group of an incident's cause.
    pub fn group(&self, kind: Kind, subject: &str) -> (Kind, String) {
        let group = match kind {
            Kind::StoreFailing => Some(STATE),
            Kind::BrokerDown => Some(BROKER),
            Kind::RoutePaused | Kind::SourceFailing | Kind::SourceMaintenance | Kind::SourceChanged => {
                self.system(kind, subject)
            }
            _ => None,
        };
        (kind, group.unwrap_or(subject).to_owned())
    }

    /// Whether an incident only shows what an open one of another kind causes.
    fn follows(&self, incident: &Incident, open: &[Incident]) -> bool {
        let Some(system) = self.system(incident.kind, &incident.subject) else { return false };
        let causes: &[Kind] = match incident.kind {
            Kind::RoutePaused | Kind::ConsumerStuck | Kind::BacklogLate => &[Kind::SystemDown],
            Kind::SourceSilent | Kind::SourceFailing => &[
                Kind::SystemDown,
                Kind::SourceChanged,
                Kind::SchemaDrift,
                Kind::SourceMaintenance,
                Kind::FeedStopped,
                Kind::SourceFailing,
            ],
            _ => return false,
        };
        open.iter().any(|other| {
            other.kind != incident.kind
                && causes.contains(&other.kind)
                && self.system(other.kind, &other.subject) == Some(system)
                // A feed that stopped says nothing about another feed of its system.
                && (other.kind == Kind::SystemDown || Self::same_feed(other, incident))
        })
    }

    fn same_feed(one: &Incident, other: &Incident) -> bool {
        one.subject == other.subject || one.kind == Kind::SourceChanged
    }

    /// Whether the subject is still in the configuration, as far as it names routes and feeds.
    pub fn knows(&self, incident: &Incident) -> bool {
        match incident.kind {
            Kind::RoutePaused | Kind::ConsumerStuck | Kind::BacklogLate | Kind::Gap | Kind::DeadLetters => {
                self.route.contains_key(&incident.subject)
            }
            Kind::SourceFailing
            | Kind::SourceMaintenance
            | Kind::FeedStopped
            | Kind::SourceChanged
            | Kind::SchemaDrift
            | Kind::CursorStuck
            | Kind::SourceSilent
            | Kind::UntakenEntity
            | Kind::UnreadableRecords
            | Kind::TooManyDeletions => self.feed.contains_key(&incident.subject),
            Kind::SystemDown => self.route.values().any(|system| *system == incident.subject),
            Kind::BrokerDown => incident.subject == THE_BROKER || self.feed.contains_key(&incident.subject),
            Kind::StoreFailing
            | Kind::JobCrashed
            | Kind::ConfigRefused
            | Kind::DiskFilling
            | Kind::CertificateEnding
            | Kind::PausedByPerson
            | Kind::SubscriberBehind
            | Kind::MapStale => true,
        }
    }

    /// Open incidents by cause, the oldest first; what only follows from another is left out.
    pub fn causes(&self, open: &[Incident]) -> Vec<Cause> {
        let mut groups: BTreeMap<(Kind, String), Vec<Incident>> = BTreeMap::new();
        for incident in open.iter().filter(|incident| !self.follows(incident, open)) {
            groups.entry(self.group(incident.kind, &incident.subject)).or_default().push(incident.clone());
        }
        let mut causes: Vec<Cause> =
            groups.into_iter().filter_map(|((kind, group), m)| self.cause(kind, group, m)).collect();
        causes.sort_by_key(|cause| cause.first.since);
        causes
    }

    fn cause(&self, kind: Kind, group: String, mut members: Vec<Incident>) -> Option<Cause> {
        members.sort_by_key(|member| member.since);
        let first = members.first()?.clone();
        let system = self.system(kind, &first.subject).map(str::to_owned);
        let routes = match kind {
            Kind::SystemDown => {
                self.route.iter().filter(|(_, to)| **to == group).map(|(route, _)| route.clone()).collect()
            }
            Kind::RoutePaused => members.iter().map(|member| member.subject.clone()).collect(),
            _ => Vec::new(),
        };
        Some(Cause {
            kind,
            subject: if members.len() == 1 { first.subject.clone() } else { group.clone() },
            group,
            system,
            first,
            count: members.iter().map(|member| member.count).sum(),
            members,
            routes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Moment;

    fn topology() -> Topology {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        Topology {
            route: pairs(&[("a", "shop"), ("b", "shop"), ("c", "crm")]),
            feed: pairs(&[("f", "erp"), ("g", "erp")]),
        }
    }

    fn incident(kind: Kind, subject: &str, since: i64) -> Incident {
        Incident {
            kind,
            subject: subject.into(),
            message: format!("{subject} fails"),
            remedy: "mend it".into(),
            since: Moment(since),
            last: Moment(since),
            count: 1,
            closed: None,
        }
    }

    fn seen(open: &[Incident]) -> Vec<(Kind, String, String)> {
        topology().causes(open).into_iter().map(|c| (c.kind, c.group, c.subject)).collect()
    }

    #[test]
    fn a_dead_shop_is_one_incident_with_its_routes() {
        let open = [
            incident(Kind::ConsumerStuck, "a", 1),
            incident(Kind::SystemDown, "shop", 2),
            incident(Kind::BacklogLate, "b", 3),
            incident(Kind::BacklogLate, "c", 4),
            incident(Kind::DeadLetters, "a", 5),
        ];
        let causes = topology().causes(&open);
        let kinds: Vec<_> = causes.iter().map(|cause| (cause.kind, cause.subject.as_str())).collect();
        assert_eq!(kinds, [(Kind::SystemDown, "shop"), (Kind::BacklogLate, "c"), (Kind::DeadLetters, "a")]);
        assert_eq!(causes[0].routes, ["a", "b"]);
    }

    #[test]
    fn what_one_system_does_to_several_is_one_and_keeps_its_name() {
        let one = [incident(Kind::RoutePaused, "a", 1)];
        assert_eq!(seen(&one), [(Kind::RoutePaused, "shop".into(), "a".into())]);
        let two = [incident(Kind::RoutePaused, "a", 1), incident(Kind::RoutePaused, "b", 2)];
        assert_eq!(seen(&two), [(Kind::RoutePaused, "shop".into(), "shop".into())]);
        let feeds = [
            incident(Kind::SourceFailing, "f", 1),
            incident(Kind::SourceFailing, "g", 1),
            incident(Kind::SourceSilent, "g", 3),
        ];
        assert_eq!(seen(&feeds), [(Kind::SourceFailing, "erp".into(), "erp".into())]);
        let disk = [incident(Kind::StoreFailing, "a", 1), incident(Kind::StoreFailing, "shop", 1)];
        assert_eq!(seen(&disk), [(Kind::StoreFailing, STATE.into(), STATE.into())]);
        let queues = [incident(Kind::BrokerDown, "the broker", 1), incident(Kind::BrokerDown, "f", 2)];
        assert_eq!(seen(&queues), [(Kind::BrokerDown, BROKER.into(), BROKER.into())]);
    }

    #[test]
    fn trouble_with_the_broker_is_known_while_there_is_a_broker_and_that_of_a_stream_while_there_is_the_stream() {
        let knows = |subject: &str| topology().knows(&incident(Kind::BrokerDown, subject, 1));
        assert!(knows(THE_BROKER) && knows("f"));
        assert!(!knows("removed"), "nobody publishes to it any more, so nobody would close it");
    }

    #[test]
    fn another_base_explains_what_fails_there_and_one_feeds_trouble_is_its_own() {
        let changed = [incident(Kind::SourceChanged, "f", 1), incident(Kind::SourceFailing, "g", 2)];
        assert_eq!(seen(&changed), [(Kind::SourceChanged, "erp".into(), "f".into())]);
        let stopped = [
            incident(Kind::FeedStopped, "f", 1),
            incident(Kind::SourceSilent, "g", 2),
            incident(Kind::SourceSilent, "f", 3),
        ];
        assert_eq!(
            seen(&stopped),
            [(Kind::FeedStopped, "f".into(), "f".into()), (Kind::SourceSilent, "g".into(), "g".into())]
        );
    }
}
