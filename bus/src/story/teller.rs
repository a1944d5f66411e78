//! The teller: asks journal and durable tables, adds what runs right now, and says it in words.

use std::sync::Arc;
use std::time::Duration;

use bus_config::{FeedSource, Landscape};
use bus_core::ports::state::StateError;
use bus_core::ports::story::{
    self as port, Found, OnRoute, PastStep, Search, State, StateKind, StepKind, Stories, StoryOf,
};
use bus_core::vocabulary::{FeedName, Moment, Operation, RouteName, StreamName, SystemName};

use super::changes::changes;
use super::{Answer, Comparison, Journal, Object, Present, Route, Settled, Step, Unreadable, Version, words};
use crate::live::Live;

/// What is asked.
#[derive(Debug, Default)]
pub struct Question {
    pub word: Option<String>,
    pub stream: Option<StreamName>,
    pub since: Option<Moment>,
    pub until: Option<Moment>,
    pub state: Option<StateKind>,
    pub objects: usize,
    pub versions: usize,
}

/// Feeds that are told of at most.
const FEEDS: usize = 20;

/// What the landscape says.
struct Known {
    routes: Vec<KnownRoute>,
    feeds: Vec<KnownFeed>,
    kept: Duration,
}

struct KnownRoute {
    name: RouteName,
    stream: StreamName,
    to: SystemName,
    /// `when`, as it is written.
    filter: Option<String>,
}

struct KnownFeed {
    name: FeedName,
    streams: Vec<StreamName>,
    /// What it reads, if it reads a system.
    system: Option<SystemName>,
}

impl Known {
    fn of(landscape: &Landscape) -> Self {
        let routes = landscape.routes.iter().map(|route| KnownRoute {
            name: route.name.clone(),
            stream: route.stream.clone(),
            to: route.to.clone(),
            filter: route.shape.condition().map(str::to_owned),
        });
        let feeds = landscape.feeds.iter().map(|feed| KnownFeed {
            name: feed.name.clone(),
            streams: feed.streams.clone(),
            system: match &feed.source {
                FeedSource::Query { system, .. } | FeedSource::Odata { system, .. } => Some(system.clone()),
                FeedSource::Join(_) | FeedSource::Push { .. } => None,
            },
        });
        Self { routes: routes.collect(), feeds: feeds.collect(), kept: landscape.bus.journal.age }
    }
}

/// Tells stories of one landscape.
pub struct Teller {
    stories: Arc<dyn Stories>,
    known: Live<Known>,
}

impl Teller {
    pub fn new(landscape: &Landscape, stories: Arc<dyn Stories>) -> Self {
        Self { stories, known: Live::new(Known::of(landscape)) }
    }

    /// After a reload.
    pub fn know(&self, landscape: &Landscape) {
        self.known.set(Known::of(landscape));
    }

    pub async fn tell(&self, question: &Question, present: &dyn Present) -> Result<Answer, StateError> {
        let known = self.known.get();
        let routes = known.routes.iter().map(|route| (route.name.clone(), route.stream.clone())).collect();
        let Question { word, stream, since, until, state, .. } = question;
        let search = Search {
            word: word.clone(),
            stream: stream.clone(),
            since: *since,
            until: *until,
            state: *state,
            routes,
            limit: question.objects,
        };
        let found = self.stories.find(&search).await?;
        let mut objects = Vec::new();
        for object in &found.objects {
            let told = self.object(&known, object, question, present).await?;
            let wanted = |told: &Object| match state {
                None => true,
                Some(kind) => told.versions.iter().flat_map(|v| &v.routes).any(|route| route.state == kind.as_str()),
            };
            objects.extend(Some(told).filter(wanted));
        }
        let near = word.as_deref().map_or_else(Vec::new, |word| near(word, &found));
        let lost = found.lost.map(|(count, from, to)| format!("{count} notes between {from} and {to}"));
        let journal =
            Journal { kept_for_seconds: known.kept.as_secs(), since: found.since.map(|at| at.to_string()), lost };
        let feeds = known.standing(stream.as_ref(), &found, present);
        let unreadable = found.unreadable.into_iter().map(unreadable).collect();
        Ok(Answer { word: word.clone(), objects, more: found.more, unreadable, near, feeds, journal })
    }

    async fn object(
        &self,
        known: &Known,
        object: &port::Object,
        question: &Question,
        present: &dyn Present,
    ) -> Result<Object, StateError> {
        let of = StoryOf {
            stream: object.stream.clone(),
            key: object.key.clone(),
            routes: known
                .routes
                .iter()
                .filter(|route| route.stream == object.stream)
                .map(|route| route.name.clone())
                .collect(),
            // One more, to compare the oldest shown one with.
            versions: question.versions + 1,
            since: question.since,
            until: question.until,
        };
        let story = self.stories.story(&of).await?;
        let surplus = story.versions.len().saturating_sub(question.versions);
        let mut versions = Vec::new();
        for (index, version) in story.versions.iter().enumerate().skip(surplus) {
            let before = index.checked_sub(1).map(|before| &story.versions[before]);
            versions.push(known.version(version, before, present));
        }
        let newest = story.versions.iter().rev().find_map(|version| version.label.clone());
        let settled = |(route, fence): (RouteName, port::Fence)| Settled {
            route: route.to_string(),
            seq: fence.seq.to_string(),
            at_receiver: fence.present,
            receiver_id: fence.receiver_id,
        };
        Ok(Object {
            stream: object.stream.to_string(),
            key: object.key.as_str().to_owned(),
            label: newest.or_else(|| object.label.clone()),
            older: story.older || surplus > 0,
            versions,
            settled: story.fences.into_iter().map(settled).collect(),
        })
    }
}

impl Known {
    /// How the feeds stand that could bring more of what was asked for: those that stand still, or all, where nothing is
    /// known yet.
    fn standing(&self, asked: Option<&StreamName>, found: &Found, present: &dyn Present) -> Vec<String> {
        let nothing = found.objects.is_empty() && found.unreadable.is_empty();
        let concerned = |stream: &StreamName| match asked {
            Some(asked) => stream == asked,
            None => nothing || found.objects.iter().any(|object| object.stream == *stream),
        };
        let feeds = self.feeds.iter().filter(|feed| feed.streams.iter().any(concerned));
        let told = feeds.map(|feed| present.feed(&feed.name, feed.system.as_ref()));
        told.filter(|told| nothing || told.still).take(FEEDS).map(|told| told.words).collect()
    }

    fn version(&self, version: &port::Version, before: Option<&port::Version>, present: &dyn Present) -> Version {
        let (changes, comparison) = compared(version, before);
        Version {
            seq: version.seq.to_string(),
            message_id: version.id.to_string(),
            generation: version.generation,
            operation: version.operation.as_str().to_owned(),
            label: version.label.clone(),
            feed: version.run.as_ref().map(|(feed, _)| feed.to_string()),
            run: version.run.as_ref().map(|(_, number)| format!("{}.{number}", version.seq.epoch)),
            read_at: version.read_at.to_string(),
            published_at: version.published_at.map(|at| at.to_string()),
            changes,
            comparison,
            routes: version.routes.iter().map(|on| self.route(on, present)).collect(),
        }
    }

    fn route(&self, on: &OnRoute, present: &dyn Present) -> Route {
        let known = self.routes.iter().find(|route| route.name == on.route);
        let mut waits_for = Vec::new();
        if let State::Waiting { until, behind, held, .. } = &on.state {
            let (until, behind) = (*until, *behind);
            if let Some((what, since)) = held {
                waits_for.push(format!("waits for {what}, since {since}; looked at again {until} at the latest"));
            } else if behind > 0 {
                waits_for.push(format!("{behind} earlier messages of this key wait before it"));
            } else if until > Moment::now() {
                waits_for.push(format!("not tried before {until}"));
            }
        }
        if let (State::Waiting { .. } | State::OnItsWay, Some(route)) = (&on.state, known) {
            waits_for.extend(present.holding(&route.name, &route.to));
        }
        let (dead, remedy) = match on.state {
            State::Dead(number) => {
                let remedy = format!("look: bus dead show {number}; send again: bus dead replay {number}");
                (Some(number), Some(remedy))
            }
            _ => (None, None),
        };
        Route {
            route: on.route.to_string(),
            state: words::word(&on.state).to_owned(),
            words: words::sentence(
                &on.state,
                on.steps.iter().any(|step| step.kind == StepKind::Attempt),
                known.and_then(|route| route.filter.as_deref()),
            ),
            waits_for,
            dead,
            remedy,
            steps: on.steps.iter().map(step).collect(),
        }
    }
}

fn unreadable(row: port::Unreadable) -> Unreadable {
    Unreadable {
        dead: row.letter,
        stream: row.stream.to_string(),
        key: row.key.map(|key| key.as_str().to_owned()),
        label: row.label,
        read_at: row.at.to_string(),
        reason: row.reason,
    }
}

fn step(step: &PastStep) -> Step {
    let kind = match step.kind {
        StepKind::Attempt => "attempt",
        StepKind::Skipped => "skipped",
        StepKind::Held => "held",
        StepKind::Dead => "dead",
        StepKind::Person => "person",
    };
    Step {
        kind: kind.to_owned(),
        word: step.word.clone(),
        since: step.since.to_string(),
        at: step.at.to_string(),
        times: step.times,
        took_ms: step.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        status: step.status,
        until: step.until.map(|until| until.to_string()),
        message: step.message.clone(),
        answer: step.answer.clone(),
    }
}

fn compared(version: &port::Version, before: Option<&port::Version>) -> (Vec<super::Change>, Comparison) {
    if version.operation == Operation::Delete {
        return (Vec::new(), Comparison::Deletion);
    }
    if version.generation == 1 {
        return (Vec::new(), Comparison::First);
    }
    // Only the version right before it: a gap between the two would be told as one change.
    let before = before.filter(|before| before.generation + 1 == version.generation);
    let bodies = before.and_then(|before| before.body.as_ref()).zip(version.body.as_ref());
    let found = bodies.and_then(|(before, after)| changes(before, after));
    found.unwrap_or((Vec::new(), Comparison::NotArchived))
}

/// The nearest words, at most five; those that begin with what was typed count as near.
fn near(word: &str, found: &Found) -> Vec<String> {
    let typed = word.to_lowercase();
    let mut ranked: Vec<(usize, &String)> = found
        .near
        .iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = if lower.starts_with(&typed) { 0 } else { strsim::damerau_levenshtein(&typed, &lower) };
            // A third of the letters, as for options.
            (distance <= (typed.chars().count() / 3).max(1)).then_some((distance, candidate))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(5).map(|(_, candidate)| candidate.clone()).collect()
}
