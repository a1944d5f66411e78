//! Stories as lines.

use super::*;

const STYLE: Style = Style { width: 60, colour: false, timezone: chrono_tz::Europe::Moscow };

fn step(kind: &str, word: &str, message: Option<&str>) -> Step {
    let at = || "2026-11-22T21:00:00.500Z".to_owned();
    Step {
        kind: kind.into(),
        word: word.into(),
        since: at(),
        at: at(),
        times: 1,
        took_ms: None,
        status: None,
        until: None,
        message: message.map(str::to_owned),
        answer: None,
    }
}

fn told(steps: Vec<Step>) -> String {
    let route = Route {
        route: "r".into(),
        state: "dead".into(),
        words: "not accepted: dead letter 1".into(),
        waits_for: Vec::new(),
        dead: Some(1),
        remedy: None,
        steps,
    };
    let version = Version {
        seq: "1.1".into(),
        message_id: String::new(),
        generation: 1,
        operation: "upsert".into(),
        label: None,
        feed: None,
        run: None,
        read_at: "2026-11-22T21:00:00.000Z".into(),
        published_at: None,
        changes: Vec::new(),
        comparison: Comparison::First,
        routes: Vec::new(),
    };
    let mut out = String::new();
    let style = Style { width: 200, ..STYLE };
    print(&route_node(&route, &version, &style), "", "", &style, &mut out);
    out
}

#[test]
fn times_are_local_and_short_on_the_same_day() {
    let (one, other) = ("2026-11-22T22:30:00.500Z", "2026-11-22T21:00:00.000Z");
    assert_eq!(beside(one, other, &STYLE), "01:30:00.500");
    assert_eq!(beside(one, "2026-11-22T20:00:00.000Z", &STYLE), "2026-11-23 01:30:00.500");
    assert_eq!(local("closed until 2026-11-22T22:30:00.500Z now", &STYLE), "closed until 2026-11-23 01:30:00 now");
}

#[test]
fn a_letter_says_why_once_and_people_stand_between_the_steps() {
    let out = told(vec![
        step("attempt", "rejected", Some("422")),
        step("dead", "rejected", Some("422")),
        step("person", "edited", Some("anna@erp1")),
        step(
            "dead",
            "requires",
            Some("clients 56 was not delivered to shop within 3 s (since 2026-11-22T21:00:00.000Z)"),
        ),
    ]);
    assert_eq!(out.matches("422").count(), 1, "{out}");
    for part in [
        "00:00:00.500  edited by anna@erp1",
        "dead letter (requires): clients 56 was not delivered to shop within 3 s (since 2026-11-23 00:00:00)",
    ] {
        assert!(out.contains(part), "{part} is missing in {out}");
    }
}

#[test]
fn a_moment_is_named_only_if_it_is_waited_for() {
    let held = |until: &str| told(vec![Step { until: Some(until.into()), ..step("held", "behind", None) }]);
    assert!(!held("2026-11-22T21:00:00.500Z").contains("not before"));
    assert!(held("2026-11-22T21:10:00.500Z").contains("not before 00:10:00.500"));
}

#[test]
fn rows_that_could_not_be_read_and_feeds_that_stand_still_are_told() {
    let mut answer = Answer {
        word: Some("УТ-1".into()),
        near: vec!["УТ-1\x1b[2J\r\nx".into()],
        feeds: vec![
            "feed orders is paused by anna@erp1 since 2026-11-22T21:00:00.000Z: x; to go on: bus resume feed orders"
                .into(),
        ],
        ..Answer::default()
    };
    let wide = Style { width: 200, ..STYLE };
    let text = tree(&answer, &wide);
    assert!(text.contains("feed orders is paused by anna@erp1 since 2026-11-23 00:00:00: x; to go on"), "{text}");
    assert!(text.contains("near it: УТ-1\u{fffd}[2J\u{fffd}\u{fffd}x\n") && !text.contains('\x1b'), "{text:?}");
    answer.unreadable.push(Unreadable {
        dead: 7,
        stream: "orders".into(),
        key: Some("163".into()),
        label: Some("УТ-1".into()),
        read_at: "2026-11-22T21:00:00.000Z".into(),
        reason: "column \"sum\": a column declared as Number holds a text".into(),
    });
    let text = tree(&answer, &wide);
    assert!(
        text.starts_with("УТ-1   stream orders, key 163\n├─ 2026-11-23 00:00:00.000  could not be read: dead letter 7"),
        "{text}"
    );
    assert!(text.contains("bus dead show 7") && !text.contains("nothing is known"), "{text}");
}

#[test]
fn an_unknown_word_is_told_with_what_is_near_and_how_far_the_journal_goes() {
    let answer = Answer {
        word: Some("УТ-1".into()),
        near: vec!["УТ-12".into()],
        journal: super::super::Journal {
            kept_for_seconds: 30 * 86_400,
            since: Some("2026-11-22T21:00:00.000Z".into()),
            lost: None,
        },
        ..Answer::default()
    };
    let text = tree(&answer, &STYLE);
    assert!(text.contains("\"УТ-1\" since 2026-11-23 00:00:00.000 (the journal is kept for 30d)"), "{text}");
    assert!(text.contains("near it: УТ-12"), "{text}");
}
