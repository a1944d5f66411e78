//! The scripted receiver: what it holds, everything that it was sent, and what it thinks is wrong with that.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus_core::policy::Idempotency;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::SystemReport;
use bus_core::ports::target::{Parcel, Target};
use bus_core::vocabulary::{DeliveryError, Fault, MessageId, Operation, Receipt, Seq};

use super::cuts::{Cuts, Latch};

/// How a receiver meets a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It remembers idempotency keys, and ignores one that it knows.
    Keyed,
    /// It overwrites.
    Put,
    /// It does it again: a second invoice.
    Blind,
}

/// All kinds, for tests that must hold for each.
pub const KINDS: [Kind; 3] = [Kind::Keyed, Kind::Put, Kind::Blind];

/// How one attempt ends.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Applied, and answered.
    Accepted,
    /// Locked by somebody, for now.
    Busy,
    /// Applied, but the answer is lost.
    SilentApplied,
    /// Not applied, and nobody says so.
    SilentLost,
    /// Never.
    Rejected,
    /// Down.
    Unavailable,
    /// Asked for less.
    Throttled(Option<Duration>),
    /// Wrong password.
    Misconfigured,
    /// Waits for the test, then accepts.
    Held(Latch),
    /// No answer; it is applied only when the test says so: see [`Receiver::late_arrivals`].
    Late,
    /// The connector itself breaks.
    Panics,
}

/// One parcel that the receiver applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Whose.
    pub key: String,
    /// Its position.
    pub seq: Seq,
    /// Its identity.
    pub id: MessageId,
    /// What the receiver holds from now on; `None` after a delete.
    pub content: Option<String>,
    /// The worker said that it was there before.
    pub exists: bool,
    /// The receiver's own id that the worker passed.
    pub receiver_id: Option<String>,
}

/// A system that outlives every crash of the bus. Cloning shares it.
#[derive(Clone)]
pub struct Receiver(Arc<Mutex<Inner>>);

struct Inner {
    kind: Kind,
    holds: BTreeMap<String, Effect>,
    effects: Vec<Effect>,
    attempts: Vec<(String, Seq, &'static str)>,
    known: HashSet<String>,
    /// Ids that a blind receiver may have applied.
    doubtful: HashSet<MessageId>,
    script: HashMap<String, VecDeque<Ending>>,
    always: Option<Ending>,
    late: Vec<Parcel>,
    wrong: Vec<String>,
    /// How the next requests end as a whole.
    requests: VecDeque<Ending>,
    /// A request with one of these keys is rejected as a whole.
    poison: HashSet<String>,
    /// The keys of each request.
    carried: Vec<Vec<String>>,
}

impl Receiver {
    /// An empty system.
    pub fn new(kind: Kind) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            kind,
            holds: BTreeMap::new(),
            effects: Vec::new(),
            attempts: Vec::new(),
            known: HashSet::new(),
            doubtful: HashSet::new(),
            script: HashMap::new(),
            always: None,
            late: Vec::new(),
            wrong: Vec::new(),
            requests: VecDeque::new(),
            poison: HashSet::new(),
            carried: Vec::new(),
        })))
    }

    /// How it meets a repeat.
    pub fn kind(&self) -> Kind {
        self.lock().kind
    }

    /// How the next attempts for a key end; after them, and without a script, attempts are accepted.
    pub fn script(&self, key: &str, endings: impl IntoIterator<Item = Ending>) {
        self.lock().script.entry(key.to_owned()).or_default().extend(endings);
    }

    /// How every attempt without a script of its key ends, until told otherwise.
    pub fn always(&self, ending: Option<Ending>) {
        self.lock().always = ending;
    }

    /// How the next requests end, whatever is in them.
    pub fn script_requests(&self, endings: impl IntoIterator<Item = Ending>) {
        self.lock().requests.extend(endings);
    }

    /// From now on a request that holds this key is rejected as a whole.
    pub fn poison(&self, key: &str) {
        self.lock().poison.insert(key.to_owned());
    }

    /// The keys of each request so far, in order.
    pub fn carried(&self) -> Vec<Vec<String>> {
        self.lock().carried.clone()
    }

    /// A person has decided that this may be sent again.
    pub fn forgive(&self, id: &MessageId) {
        self.lock().doubtful.remove(id);
    }

    /// What was sent long ago is applied now.
    pub fn late_arrivals(&self) {
        let mut inner = self.lock();
        for parcel in std::mem::take(&mut inner.late) {
            inner.apply(&parcel);
        }
    }

    /// What it holds, by key.
    pub fn holds(&self) -> BTreeMap<String, Option<String>> {
        self.lock().holds.iter().map(|(key, effect)| (key.clone(), effect.content.clone())).collect()
    }

    /// Everything applied, in order.
    pub fn effects(&self) -> Vec<Effect> {
        self.lock().effects.clone()
    }

    /// The numbers applied for a key, in order.
    pub fn numbers(&self, key: &str) -> Vec<u64> {
        self.lock().effects.iter().filter(|effect| effect.key == key).map(|effect| effect.seq.number).collect()
    }

    /// Every attempt in order of its end: key, number and how it ended.
    pub fn attempts(&self) -> Vec<(String, u64, &'static str)> {
        self.lock().attempts.iter().map(|(key, seq, how)| (key.clone(), seq.number, *how)).collect()
    }

    /// What no receiver should ever see.
    pub fn complaints(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    /// The worker's side, in one life of the process.
    pub fn connector(&self, cuts: Cuts, deadline: Duration) -> Connector {
        Connector { receiver: self.clone(), cuts, deadline }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Property 5: a blind receiver is not sent what it may have applied.
    fn look_at(&mut self, parcel: &Parcel) {
        let id = parcel.envelope.id;
        if self.kind == Kind::Blind && !self.doubtful.insert(id) {
            self.wrong.push(format!("{} {} was sent blindly again", parcel.envelope.key, parcel.envelope.seq));
        }
    }

    fn apply(&mut self, parcel: &Parcel) {
        let envelope = &parcel.envelope;
        let effect = Effect {
            key: envelope.key.to_string(),
            seq: envelope.seq,
            id: envelope.id,
            content: (parcel.operation == Operation::Upsert)
                .then(|| String::from_utf8(parcel.body.to_vec()).expect("bodies are UTF-8")),
            exists: parcel.exists,
            receiver_id: parcel.receiver_id.clone(),
        };
        let held = self.holds.get(&effect.key);
        if self.kind == Kind::Keyed && !self.known.insert(parcel.idempotency_key.clone()) {
            // Property 4: a known id must not swallow other content that is newer than what is held.
            if held.is_some_and(|held| held.content != effect.content && held.seq < effect.seq) {
                self.wrong.push(format!("{} {} was swallowed as known", effect.key, effect.seq));
            }
            return;
        }
        // Property 2.
        if let Some(held) = held.filter(|held| held.seq > effect.seq) {
            self.wrong.push(format!("{} {} was applied after {}", effect.key, effect.seq, held.seq));
        }
        self.holds.insert(effect.key.clone(), effect.clone());
        self.effects.push(effect);
    }

    fn next_ending(&mut self, key: &str) -> Ending {
        let scripted = self.script.get_mut(key).and_then(VecDeque::pop_front);
        scripted.or_else(|| self.always.clone()).unwrap_or(Ending::Accepted)
    }
}

/// One connection to the receiver.
pub struct Connector {
    receiver: Receiver,
    cuts: Cuts,
    deadline: Duration,
}

impl Connector {
    /// One request with all of these.
    async fn attempt(&self, parcels: &[Parcel]) -> Vec<Result<Receipt, DeliveryError>> {
        let passage = self.cuts.enter("target.deliver").await;
        let keys: Vec<String> = parcels.iter().map(|parcel| parcel.envelope.key.to_string()).collect();
        let of_all = {
            let mut inner = self.receiver.lock();
            let spoilt = keys.iter().any(|key| inner.poison.contains(key)).then_some(Ending::Rejected);
            inner.carried.push(keys);
            spoilt.or_else(|| inner.requests.pop_front())
        };
        let mut outcomes = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let outcome = self.one(parcel, of_all.clone()).await;
            outcomes.push(if of_all.is_some() { outcome.map_err(DeliveryError::shared) } else { outcome });
        }
        if !passage.leave().await {
            return outcomes;
        }
        let no_answer = |_: &Parcel| Err(DeliveryError::new(Fault::Ambiguous, "no answer, as planned").shared());
        parcels.iter().map(no_answer).collect()
    }

    async fn one(&self, parcel: &Parcel, of_all: Option<Ending>) -> Result<Receipt, DeliveryError> {
        let key = parcel.envelope.key.to_string();
        let ending = of_all.unwrap_or_else(|| self.receiver.lock().next_ending(&key));
        if let Ending::Held(latch) = &ending {
            latch.pass().await;
        }
        {
            let mut inner = self.receiver.lock();
            inner.look_at(parcel);
            let fails = |fault, message: &str| Err(DeliveryError::new(fault, message));
            let not_applied = !matches!(
                ending,
                Ending::Accepted
                    | Ending::Held(_)
                    | Ending::SilentApplied
                    | Ending::SilentLost
                    | Ending::Late
                    | Ending::Panics
            );
            if not_applied {
                inner.doubtful.remove(&parcel.envelope.id);
            }
            let (how, outcome) = match ending {
                Ending::Accepted | Ending::Held(_) => {
                    inner.apply(parcel);
                    ("accepted", Ok(Receipt { receiver_id: Some(format!("№{key}")), ..Receipt::default() }))
                }
                Ending::SilentApplied => {
                    inner.apply(parcel);
                    ("ambiguous", fails(Fault::Ambiguous, "no answer"))
                }
                Ending::SilentLost => ("ambiguous", fails(Fault::Ambiguous, "no answer")),
                Ending::Late => {
                    inner.late.push(parcel.clone());
                    ("ambiguous", fails(Fault::Ambiguous, "no answer"))
                }
                Ending::Busy => ("busy", fails(Fault::Busy, "locked")),
                Ending::Rejected => ("rejected", fails(Fault::Rejected, "never")),
                Ending::Unavailable => ("unavailable", fails(Fault::Unavailable, "down")),
                Ending::Throttled(retry_after) => ("throttled", fails(Fault::Throttled { retry_after }, "slower")),
                Ending::Misconfigured => ("misconfigured", fails(Fault::Misconfigured, "wrong password")),
                Ending::Panics => {
                    inner.attempts.push((key, parcel.envelope.seq, "panic"));
                    drop(inner);
                    panic!("a planned panic of the connector");
                }
            };
            inner.attempts.push((key, parcel.envelope.seq, how));
            outcome
        }
    }
}

#[async_trait]
impl Target for Connector {
    async fn check(&self) -> Result<SystemReport, DeliveryError> {
        Ok(SystemReport::default())
    }

    async fn deliver(&self, parcels: &[Parcel], permits: &Permits) -> Vec<Result<Receipt, DeliveryError>> {
        let _permit = permits.take().await;
        self.attempt(parcels).await
    }

    fn idempotency(&self) -> Idempotency {
        match self.receiver.kind() {
            Kind::Keyed | Kind::Put => Idempotency::Idempotent,
            Kind::Blind => Idempotency::NonIdempotent,
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }
}
