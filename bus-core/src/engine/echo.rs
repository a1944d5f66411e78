//! Both ways without echo: what a route writes is remembered for the route that carries the same entity back.
//!
//! A write is under way from the moment it is decided on, under one lock with the decision: of two routes that
//! decide at the same time, one sees the other. With its outcome it becomes a row of the state store, and only then it is no
//! longer under way. A crash in between forgets a write whose request may have been applied: its echo is then delivered
//! like a change, to a system that holds that very value.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::policy::echo::{End, Verdict, Write, judge};
use crate::ports::echo::{Compare, WriteLog};
use crate::ports::state::Change;
use crate::ports::target::Parcel;
use crate::vocabulary::{ContentHash, Envelope, Key, Moment, RouteName};

/// By what both routes know a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Both streams have the same key.
    Key,
    /// The stream that is read has the id that its system gave to the other route.
    ReceiverId,
}

/// A route that must not send echoes on.
pub struct Reader {
    /// The route.
    pub name: RouteName,
    /// What makes writes and readings comparable.
    pub compare: Arc<dyn Compare>,
    /// How the other route's records are found.
    pub by: By,
}

/// Writes whose outcome is not durable yet, of all routes of a process: as many as attempts are under way.
#[derive(Default)]
pub struct UnderWay(Mutex<Vec<Begun>>);

struct Begun {
    /// Who writes, and which of its keys.
    route: RouteName,
    key: Key,
    /// For whom it is remembered, and under which key; `None`: the receiver's answer will say.
    reader: Arc<Reader>,
    read_as: Option<String>,
    print: ContentHash,
    began: Moment,
}

/// What a worker knows of echoes.
#[derive(Clone)]
pub struct Echo {
    log: Arc<dyn WriteLog>,
    under_way: Arc<UnderWay>,
    /// This route as one that must not send echoes on.
    own: Option<Arc<Reader>>,
    /// Those that read what this route writes.
    readers: Vec<Arc<Reader>>,
}

/// What becomes of a message that is about to be sent.
pub(super) enum Decision {
    /// It is sent; older writes of the key are behind it, once it has its outcome.
    Send(Option<Change>),
    /// It is not, for a fixed reason; and the change that goes with it.
    Skip(&'static str, Option<Change>),
    /// Not now.
    Later,
}

impl Echo {
    /// For a route that is part of a pair.
    pub fn new(
        log: Arc<dyn WriteLog>,
        under_way: Arc<UnderWay>,
        own: Option<Arc<Reader>>,
        readers: Vec<Arc<Reader>>,
    ) -> Self {
        Self { log, under_way, own, readers }
    }

    /// A worker of this route starts; attempts of one that was cut off are not under way any more.
    pub(super) fn started(&self, route: &RouteName) {
        self.under_way.lock().retain(|begun| begun.route != *route);
    }

    /// Decides, and remembers the write that is about to begin. `asked`: a person wants it sent.
    pub(super) fn begin(&self, route: &RouteName, parcel: &Parcel, asked: bool) -> Decision {
        let mut under_way = self.under_way.lock();
        let decision = match &self.own {
            Some(own) if !asked => self.decide(own, &parcel.envelope, &under_way),
            _ => Decision::Send(None),
        };
        if let Decision::Send(_) = decision {
            let (key, began) = (&parcel.envelope.key, Moment::now());
            under_way.retain(|begun| begun.route != *route || begun.key != *key);
            under_way.extend(self.readers.iter().map(|reader| Begun {
                route: route.clone(),
                key: key.clone(),
                read_as: match reader.by {
                    By::Key => Some(key.as_str().to_owned()),
                    By::ReceiverId => parcel.receiver_id.clone(),
                },
                print: reader.compare.sent(parcel.operation, &parcel.body),
                reader: Arc::clone(reader),
                began,
            }));
        }
        decision
    }

    fn decide(&self, own: &Reader, envelope: &Envelope, under_way: &[Begun]) -> Decision {
        let key = envelope.key.as_str();
        let mut writes = match self.log.writes(&own.name, key) {
            Ok(durable) => durable,
            // Unknown is not unchanged: it waits until the store answers.
            Err(_) => return Decision::Later,
        };
        for begun in under_way.iter().filter(|begun| begun.reader.name == own.name) {
            if begun.read_as.as_deref() == Some(key) && writes.iter().all(|write| write.began != begun.began) {
                writes.push(Write { print: begun.print, began: begun.began, end: End::UnderWay });
            }
        }
        writes.sort_by_key(|write| write.began);
        let forget = |before: Moment| {
            let old = writes.iter().any(|write| write.began < before);
            old.then(|| Change::ForgetWrites { key: key.to_owned(), before })
        };
        let print = own.compare.read(envelope.operation, &envelope.body);
        match judge(&print, envelope.time, &writes) {
            Verdict::Echo(before) => Decision::Skip("echo", forget(before)),
            Verdict::Changed(before) => Decision::Send(forget(before)),
            Verdict::Overwritten => Decision::Skip("overwritten", None),
            Verdict::Later => Decision::Later,
        }
    }

    /// The receiver has the write, or may have it (`in_doubt`): what to keep of it, with its outcome.
    pub(super) fn written(
        &self,
        route: &RouteName,
        key: &Key,
        receiver_id: Option<&str>,
        in_doubt: bool,
    ) -> Vec<Change> {
        let under_way = self.under_way.lock();
        let own = under_way.iter().filter(|begun| begun.route == *route && begun.key == *key);
        own.filter_map(|begun| {
            let read_as = match begun.reader.by {
                By::Key => begun.read_as.as_deref(),
                By::ReceiverId => receiver_id.or(begun.read_as.as_deref()),
            };
            Some(Change::Wrote {
                reader: begun.reader.name.clone(),
                key: read_as?.to_owned(),
                print: begun.print,
                began: begun.began,
                in_doubt,
            })
        })
        .collect()
    }

    /// The outcome is durable, or it is known not to have been applied.
    pub(super) fn ended(&self, route: &RouteName, key: &Key) {
        self.under_way.lock().retain(|begun| begun.route != *route || begun.key != *key);
    }
}

impl UnderWay {
    /// A panic while holding the lock cannot leave the list half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
