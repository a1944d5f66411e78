//! What a reload did, in words.

use bus_config::Landscape;
use bus_core::engine::supervisor::JobName;
use bus_core::policy::places::{Arrangement, Step};
use bus_core::vocabulary::RouteName;
use serde::{Deserialize, Serialize};

use super::difference::Difference;

/// What a reload did.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Report {
    /// Started, or started anew, as "route orders-to-shop".
    pub started: Vec<String>,
    /// Ended for good.
    pub ended: Vec<String>,
    /// Routes that went on under another name, as "old -> new".
    pub renamed: Vec<String>,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// What follows from what differs, and from the places given away.
pub fn report(old: &Landscape, difference: &Difference, arrangement: &Arrangement) -> Report {
    let mut report = Report {
        started: difference.start.iter().map(word).collect(),
        ended: difference.end.difference(&difference.start).map(word).collect(),
        ..Report::default()
    };
    for step in &arrangement.steps {
        match step {
            Step::Rename { from, to } => report.renamed.push(format!("{from} -> {to}")),
            Step::Forget(route) if old.routes.iter().any(|known| known.name == *route) => {
                report.notes.push(format!("route {route}: everything it held is dropped"));
            }
            _ => {}
        }
    }
    let kept = |route: &RouteName| format!("route {route}: nobody could look into its queue; it is kept, and filled");
    report.notes.extend(arrangement.kept.iter().map(|place| kept(&place.route)));
    report
}

/// A job, as "route orders-to-shop".
pub fn word(job: &JobName) -> String {
    match job {
        JobName::Feed(name) => format!("feed {name}"),
        JobName::Route(name) => format!("route {name}"),
        JobName::Outbox(name) => format!("subscription {name}"),
    }
}
