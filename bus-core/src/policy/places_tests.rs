//! Places by table: what the store knows, what the file wants, what comes of it.
#![allow(clippy::unwrap_used)]

use super::*;

fn route(name: &str) -> RouteName {
    RouteName::new(name).unwrap()
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

/// `route/stream/queue`, without the last part for a retired one.
fn place(text: &str) -> Place {
    let mut parts = text.split('/');
    let mut part = || parts.next();
    let (name, stream) = (route(part().unwrap()), StreamName::new(part().unwrap()).unwrap());
    Place { route: name, stream, queue: part().map(queue) }
}

/// `route/stream` or `route/stream/was`.
fn wanted(text: &str) -> Wanted {
    let mut parts = text.split('/');
    let mut part = || parts.next();
    let (name, stream) = (route(part().unwrap()), StreamName::new(part().unwrap()).unwrap());
    Wanted { route: name, stream, was: part().map(route) }
}

fn words(outcome: Result<Arrangement, Vec<Refusal>>) -> String {
    let step = |step: &Step| match step {
        Step::Make(queue) => format!("make {queue}"),
        Step::Forget(route) => format!("forget {route}"),
        Step::Retire(route) => format!("retire {route}"),
        Step::Rename { from, to } => format!("{from} becomes {to}"),
        Step::Enter(place) => format!("{} enters {}", place.route, place.queue.as_ref().unwrap()),
    };
    match outcome {
        Ok(done) => {
            let kept = done.kept.iter().map(|place| format!("kept {}", place.route));
            done.steps.iter().map(step).chain(kept).collect::<Vec<_>>().join("; ")
        }
        Err(refused) => {
            let words: Vec<_> = refused.iter().map(ToString::to_string).collect();
            format!("refused: {}", words.join("; "))
        }
    }
}

fn held(queued: u64, waiting: u64, dead: u64) -> Held {
    Held { queued: Some(queued), waiting, dead }
}

fn outcome(known: &[&str], file: &[&str], dropped: &[&str], holds: Held) -> Result<Arrangement, Vec<Refusal>> {
    let known: Vec<Place> = known.iter().map(|text| place(text)).collect();
    let file: Vec<Wanted> = file.iter().map(|text| wanted(text)).collect();
    let dropped: Vec<RouteName> = dropped.iter().map(|name| route(name)).collect();
    let holding = known.iter().map(|place| (place.route.clone(), holds)).collect();
    arrange(&known, &file, &dropped, &holding, &HashSet::from([queue("bi")]))
}

#[test]
fn every_wanted_route_gets_its_place() {
    let nothing = held(0, 0, 0);
    for (known, file, expected) in [
        (&[][..], &["a/s"][..], "a enters a"),
        (&[], &["bi/s"], "bi enters bi.2"),
        (&["a/s/a"], &["a/s"], ""),
        (&["a/s/a"], &["b/s/a"], "a becomes b"),
        // Again with the same file, and on a store that never knew the former name.
        (&["b/s/a"], &["b/s/a"], ""),
        (&[], &["b/s/a"], "b enters b"),
        // The former name is used anew: its queue's name is not free.
        (&["b/s/a"], &["b/s", "a/s"], "a enters a.2"),
        (&["a/s/a"], &[], "retire a"),
        (&["a/s"], &["a/s"], "a enters a"),
        (&["a/s"], &["a/t"], "forget a; a enters a"),
        (&["a/s"], &[], ""),
        (&["a/s", "b/s/b"], &["a/s/b"], "forget a; b becomes a"),
        (&["a/s/a"], &["a/t"], "forget a; a enters a.2"),
    ] {
        assert_eq!(words(outcome(known, file, &[], nothing)), expected, "{known:?} {file:?}");
    }
}

#[test]
fn a_renamed_route_keeps_its_queue() {
    let done = outcome(&["a/s/a"], &["b/s/a"], &[], held(7, 8, 9)).unwrap();
    assert_eq!(done.queues[&route("b")], queue("a"));
}

#[test]
fn nothing_is_given_up_unless_a_person_names_it() {
    for (holds, expected) in [
        (held(1, 0, 0), "still holds 1 messages in its queue, 0 waiting, 0 dead letters"),
        (held(0, 1, 0), "still holds 0 messages in its queue, 1 waiting, 0 dead letters"),
        (held(0, 0, 1), "still holds 0 messages in its queue, 0 waiting, 1 dead letters"),
        (Held { queued: None, waiting: 2, dead: 0 }, "still holds an unknown number of messages"),
    ] {
        let refused = words(outcome(&["a/s/a"], &[], &[], holds));
        assert!(refused.starts_with("refused: route a is not in the file") && refused.contains(expected), "{refused}");
        assert!(refused.contains("--drop-route a"), "{refused}");
        assert_eq!(words(outcome(&["a/s/a"], &[], &["a"], holds)), "forget a");
        let other = words(outcome(&["a/s/a"], &["a/t"], &[], holds));
        assert!(other.starts_with("refused: route a takes another stream now"), "{other}");
        assert_eq!(words(outcome(&["a/s/a"], &["a/t"], &["a"], holds)), "forget a; a enters a.2");
    }
    let unknown = Held::default();
    assert_eq!(words(outcome(&["a/s/a"], &[], &[], unknown)), "kept a", "nobody could look");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let nothing = held(0, 0, 0);
    for (known, file, dropped, expected) in [
        (&["a/s/a", "b/s/b"][..], &["b/s/a"][..], &[][..], "has a place of its own already"),
        (&["a/t/a"], &["b/s/a"], &[], "that took stream t"),
        (&["a/s/a"], &["a/s"], &["a"], "still in the file"),
        (&["a/s/a"], &["a/s"], &["x"], "there is no route x"),
    ] {
        let refused = words(outcome(known, file, dropped, nothing));
        assert!(refused.starts_with("refused: ") && refused.contains(expected), "{refused}");
    }
}
