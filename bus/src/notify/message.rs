//! What is said: names, counts, errors in words and remedies; never a record, a key or a secret.

use std::fmt::Write;

use bus_core::policy::{Cause, CauseId, Due};
use bus_core::vocabulary::Severity;
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::clock::{local, localised};

/// More than this nobody reads; the rest is counted.
const LISTED: usize = 20;
/// Error texts of systems can be long.
const WORDS: usize = 300;
/// Telegram takes 4096 characters.
const TEXT: usize = 3800;

/// One message of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// For people.
    pub text: String,
    /// For machines.
    pub json: Value,
}

impl Message {
    /// Words for what is due.
    pub fn of(bus: &str, due: &Due, causes: &[Cause], zone: Tz) -> Self {
        let find = |id: &CauseId| causes.iter().find(|cause| cause.kind == id.0 && cause.group == id.1);
        let (new, again): (Vec<_>, Vec<_>) =
            (due.new.iter().filter_map(find).collect(), due.again.iter().filter_map(find).collect());
        let subject = format!("[{bus}] {}", headline(&new, &again, &due.over));
        let mut text = format!("{subject}\n");
        let told = new.iter().map(|cause| ("", *cause)).chain(again.iter().map(|cause| ("still open: ", *cause)));
        for (mark, cause) in told.take(LISTED) {
            text.push_str(&paragraph(mark, cause, zone));
        }
        for (kind, subject) in due.over.iter().take(LISTED) {
            let _ = write!(text, "\nresolved: {} {subject}\n", kind.as_str());
        }
        let all = new.len() + again.len() + due.over.len();
        let listed = (new.len() + again.len()).min(LISTED) + due.over.len().min(LISTED);
        if all > listed {
            let _ = write!(text, "\nand {} more: `bus incidents`\n", all - listed);
        }
        let open = |state: &'static str, cause: &Cause| {
            json!({
                "state": state, "kind": cause.kind.as_str(), "severity": cause.kind.severity().as_str(),
                "subject": cause.subject, "since": cause.first.since.to_string(), "count": cause.count,
                "message": cause.first.message, "remedy": cause.first.remedy, "routes": cause.routes,
            })
        };
        let incidents: Vec<Value> = (new.iter().map(|cause| open("open", cause)))
            .chain(again.iter().map(|cause| open("still-open", cause)))
            .chain(due.over.iter().map(|(kind, subject)| {
                json!({ "state": "resolved", "kind": kind.as_str(), "severity": kind.severity().as_str(), "subject": subject })
            }))
            .collect();
        let text: String = text.chars().take(TEXT).collect();
        let json = json!({ "bus": bus, "text": text, "incidents": incidents });
        Self { subject, text, json }
    }
}

fn headline(new: &[&Cause], again: &[&Cause], over: &[CauseId]) -> String {
    let what = |cause: &Cause| format!("{} {}", cause.kind.as_str(), cause.subject);
    match (new, again, over) {
        ([one], [], []) => what(one),
        ([], [one], []) => format!("still open: {}", what(one)),
        ([], [], [(kind, subject)]) => format!("resolved: {} {subject}", kind.as_str()),
        _ => {
            let counted = [(new.len(), "new"), (again.len(), "still open"), (over.len(), "resolved")];
            let parts = counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
            format!("incidents: {}", parts.collect::<Vec<_>>().join(", "))
        }
    }
}

fn paragraph(mark: &str, cause: &Cause, zone: Tz) -> String {
    let loud = if cause.kind.severity() == Severity::Critical { "CRITICAL " } else { "" };
    let words: String = localised(&cause.first.message, zone).chars().take(WORDS).collect();
    let mut out = format!(
        "\n{mark}{loud}{} {} since {} ({} times)\n{words}\n",
        cause.kind.as_str(),
        cause.subject,
        local(cause.first.since, zone),
        cause.count
    );
    if cause.members.len() > 1 {
        let places: Vec<&str> = cause.members.iter().map(|member| member.subject.as_str()).take(LISTED).collect();
        let _ = writeln!(out, "at: {}", places.join(", "));
    } else if cause.routes.iter().any(|route| *route != cause.subject) {
        let routes: Vec<&str> = cause.routes.iter().map(String::as_str).take(LISTED).collect();
        let _ = writeln!(out, "routes that wait: {}", routes.join(", "));
    }
    let _ = writeln!(out, "what to do: {}", cause.first.remedy);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_core::policy::Topology;
    use bus_core::vocabulary::{Incident, IncidentKind, Moment};

    fn incident(subject: &str) -> Incident {
        Incident {
            kind: IncidentKind::SystemDown,
            subject: subject.into(),
            message: "connection refused".into(),
            remedy: "start it".into(),
            since: Moment(1_795_000_000_000),
            last: Moment(1_795_000_000_000),
            count: 3,
            closed: None,
        }
    }

    #[test]
    fn a_message_says_what_where_since_when_how_many_why_and_what_to_do() {
        let route = [("orders".to_owned(), "магазин".to_owned())].into();
        let causes = Topology { route, ..Topology::default() }.causes(&[incident("магазин")]);
        let due = Due { new: vec![(IncidentKind::SystemDown, "магазин".into())], ..Due::default() };
        let message = Message::of("проверка", &due, &causes, chrono_tz::Europe::Moscow);
        assert_eq!(message.subject, "[проверка] system-down магазин");
        assert_eq!(
            message.text,
            "[проверка] system-down магазин\n\nCRITICAL system-down магазин since 2026-11-18 14:06 (3 times)\n\
             connection refused\nroutes that wait: orders\nwhat to do: start it\n"
        );
        assert_eq!(message.json["incidents"][0]["state"], "open");
    }

    #[test]
    fn many_are_counted_and_the_text_stays_short() {
        let all: Vec<_> = (0..50).map(|n| incident(&format!("s{n:02}"))).collect();
        let causes = Topology::default().causes(&all);
        let ids: Vec<CauseId> = causes.iter().map(|cause| (cause.kind, cause.group.clone())).collect();
        let due = Due { new: ids[..40].to_vec(), over: ids[40..].to_vec(), ..Due::default() };
        let message = Message::of("bus", &due, &causes, chrono_tz::UTC);
        assert_eq!(message.subject, "[bus] incidents: 40 new, 10 resolved");
        assert!(message.text.chars().count() <= TEXT && message.text.contains("and 20 more"), "{}", message.text);
    }
}
