//! What runs right now, as far as a story needs it: what holds routes up, and how feeds stand.

use bus_core::engine::capture::FeedStatus;
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::vocabulary::{FeedName, RouteName, SystemName};

/// The bus beside the story. Nothing in it waits.
pub trait Present: Sync {
    /// What keeps a route from delivering, in sentences.
    fn holding(&self, route: &RouteName, system: &SystemName) -> Vec<String>;

    /// How a feed stands, which reads this system.
    fn feed(&self, feed: &FeedName, system: Option<&SystemName>) -> Standing;
}

/// How a feed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// It does not read, or does not get on.
    pub still: bool,
    /// In a sentence.
    pub words: String,
}

/// A bus that does not run; the pauses hold when it starts.
pub struct Stopped {
    pub pauses: Vec<Pause>,
}

impl Present for Stopped {
    fn holding(&self, route: &RouteName, system: &SystemName) -> Vec<String> {
        let subjects = [Subject::Route(route.clone()), Subject::System(system.clone())];
        let paused = self.pauses.iter().filter(|pause| subjects.contains(&pause.subject)).map(paused);
        std::iter::once("the bus does not run".to_owned()).chain(paused).collect()
    }

    fn feed(&self, feed: &FeedName, system: Option<&SystemName>) -> Standing {
        let of_feed = |pause: &&Pause| match &pause.subject {
            Subject::Feed(name) => name == feed,
            Subject::System(name) => Some(name) == system,
            Subject::Route(_) => false,
        };
        let pause = self.pauses.iter().find(of_feed);
        let why = pause.map(|pause| format!("; {}", paused(pause))).unwrap_or_default();
        Standing { still: pause.is_some(), words: format!("feed {feed} reads nothing: the bus does not run{why}") }
    }
}

/// Who has paused it, since when and why, and what ends that.
pub fn paused(pause: &Pause) -> String {
    format!("{0} is paused {pause}; to go on: bus resume {0}", pause.subject)
}

/// How a running feed stands; `pause` is the person's that holds it, if one does.
pub fn standing(feed: &FeedName, status: &FeedStatus, pause: Option<&Pause>) -> Standing {
    let moved = status
        .moved
        .map(|at| format!("; a person moved its position at {at}: it reads on from there, and nothing before it"));
    let moved = moved.unwrap_or_default();
    let still = |words: String| Standing { still: true, words: format!("{words}{moved}") };
    if let Some(pause) = pause {
        let of = if matches!(pause.subject, Subject::Feed(_)) {
            String::new()
        } else {
            format!("feed {feed} reads nothing: ")
        };
        return still(format!("{of}{}", paused(pause)));
    }
    if let Some(words) = &status.paused {
        return still(format!("feed {feed} is paused {words}"));
    }
    let next = status.next.map(|at| format!("; it reads next at {at}")).unwrap_or_default();
    match (&status.error, status.stopped, status.last_success) {
        (Some(error), true, _) => still(format!("feed {feed} has stopped: {error}")),
        (None, true, _) => still(format!("feed {feed} has stopped")),
        (Some(error), false, _) => still(format!("feed {feed} cannot read: {error}{next}")),
        (None, false, None) => {
            let words = format!("feed {feed} has read nothing since the bus started{next}{moved}");
            Standing { still: status.moved.is_some(), words }
        }
        (None, false, Some(at)) => {
            let words = format!("feed {feed} has read at {at}{next}{moved}");
            Standing { still: status.moved.is_some_and(|moved| moved >= at), words }
        }
    }
}

#[cfg(test)]
mod tests {
    use bus_core::vocabulary::Moment;

    use super::*;

    fn pause(subject: Subject) -> Pause {
        Pause { subject, who: "anna@erp1".into(), why: "переезд".into(), since: Moment(0) }
    }

    fn feed() -> FeedName {
        FeedName::new("orders").unwrap()
    }

    #[test]
    fn a_feed_says_why_it_stands_still() {
        let (ours, system) = (Subject::Feed(feed()), Subject::System(SystemName::new("erp").unwrap()));
        let words = |status: FeedStatus, pause: Option<&Pause>| {
            let standing = standing(&feed(), &status, pause);
            (standing.still, standing.words)
        };
        let by = "is paused by anna@erp1 since 1970-01-01T00:00:00.000Z: переезд; to go on: bus resume";
        let at = Some(Moment(0));
        for (status, pause, still, expected) in [
            (FeedStatus::default(), Some(pause(ours)), true, format!("feed orders {by} feed orders")),
            (FeedStatus::default(), Some(pause(system)), true, format!("feed orders reads nothing: system erp {by} system erp")),
            (FeedStatus { stopped: true, error: Some("x".into()), ..FeedStatus::default() }, None, true, "feed orders has stopped: x".into()),
            (FeedStatus { error: Some("x".into()), next: at, ..FeedStatus::default() }, None, true, "feed orders cannot read: x; it reads next at 1970-01-01T00:00:00.000Z".into()),
            (FeedStatus { last_success: at, ..FeedStatus::default() }, None, false, "feed orders has read at 1970-01-01T00:00:00.000Z".into()),
            (
                FeedStatus { last_success: at, moved: at, ..FeedStatus::default() },
                None,
                true,
                "feed orders has read at 1970-01-01T00:00:00.000Z; a person moved its position at 1970-01-01T00:00:00.000Z: it reads on from there, and nothing before it".into(),
            ),
        ] {
            assert_eq!(words(status, pause.as_ref()), (still, expected));
        }
    }

    #[test]
    fn a_stopped_bus_tells_the_pauses_that_will_hold() {
        let (route, system) = (RouteName::new("r").unwrap(), SystemName::new("erp").unwrap());
        let stopped = Stopped { pauses: vec![pause(Subject::System(system.clone())), pause(Subject::Feed(feed()))] };
        let told = stopped.holding(&route, &system);
        assert!(told.len() == 2 && told[1].starts_with("system erp is paused by anna@erp1"), "{told:?}");
        assert_eq!(stopped.holding(&route, &SystemName::new("shop").unwrap()).len(), 1);
        assert!(stopped.feed(&feed(), None).words.contains("the bus does not run; feed orders is paused by anna"));
    }
}
