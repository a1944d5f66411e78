//! One reader as it is written, and how it finds changes.

use bus_core::policy::Schedule;
use bus_core::vocabulary::SystemName;
use bus_options::{Filled, Located, Own, Report, Span, codes};

use crate::landscape::{Changes, Recheck};
use crate::language::odata::OdataRead;
use crate::language::select::SelectText;
use crate::language::stream::{Changes as WrittenChanges, Push};

/// How one reader is written, in a feed's own table or in that of its only stream.
pub struct Reading<'a> {
    /// Where mistakes about what is missing are shown.
    pub span: &'a Span,
    /// The word for messages.
    pub what: &'static str,
    pub from: Option<(SystemName, &'a Span)>,
    pub query: Option<&'a SelectText>,
    /// Of a base of 1C.
    pub entity: Option<&'a Located<Filled>>,
    pub odata: Option<&'a Located<OdataRead>>,
    pub schedule: Option<&'a Own<Schedule>>,
    pub changes: Option<&'a Located<WrittenChanges>>,
    pub listen: Option<&'a Located<Push>>,
}

/// A guard watches over a comparison.
pub fn guarded(changes: &WrittenChanges, report: &mut Report) {
    if let WrittenChanges::Cursor(cursor) = changes
        && cursor.recheck.is_none()
        && cursor.guard.value.own
    {
        let hint = "add recheck = \"Sun 04:00\", or remove `guard`";
        let message = "without `recheck` nothing is compared, so there is nothing to guard";
        report.add_with_hint(codes::CONTRADICTION, &cursor.guard.span, message, hint);
    }
}

/// How changes are found.
pub fn changes(changes: &WrittenChanges) -> Changes {
    match changes {
        WrittenChanges::Diff(diff) => Changes::Diff { guard: diff.guard.share(), by_version: false },
        WrittenChanges::Version(version) => Changes::Diff { guard: version.guard.share(), by_version: true },
        WrittenChanges::Plan(plan) => Changes::Plan {
            plan: plan.exchange_plan.0.clone(),
            node: plan.node.0.clone(),
            point: plan.point.as_ref().map(|point| point.0.clone()),
            quiet: plan.quiet,
            recheck: plan.recheck.clone().map(|schedule| Recheck { schedule, guard: plan.guard.share() }),
        },
        WrittenChanges::Cursor(cursor) => Changes::Cursor {
            column: cursor.cursor.0.clone(),
            overlap: cursor.overlap,
            recheck: cursor
                .recheck
                .clone()
                .map(|schedule| Recheck { schedule, guard: cursor.guard.value.value.share() }),
        },
    }
}
