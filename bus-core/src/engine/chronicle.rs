//! Chronicle: turns what the engine does into notes of the journal, with personal fields masked before they leave it.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;

use crate::policy::Masks;
use crate::ports::journal::{Deed, Event, Journal, Run, Step, What};
use crate::vocabulary::{DeliveryError, Envelope, FeedName, Moment, Receipt, RouteName, Seq, StreamName};

/// Messages of one note at most: what is looked up together, and small enough to be read for one of them.
const BLOCK: usize = 256;
/// Bytes of bodies in one note, about; a single larger body is a note of its own.
const BLOCK_BYTES: usize = 256 * 1024;
/// Characters of an answer or a message that the journal keeps; a dead letter keeps more.
const EXCERPT: usize = 500;
/// Characters of a person's name.
const WHO: usize = 100;

/// What is kept of one stream.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// How long bodies are kept, if at all.
    pub archive: Option<Duration>,
    /// Fields that the journal never sees.
    pub masks: Masks,
}

/// Takes the engine's notes. Cloning shares it.
#[derive(Clone)]
pub struct Chronicle {
    journal: Option<Arc<dyn Journal>>,
    /// Changed by a reload, from the next note on.
    keeping: Arc<RwLock<HashMap<StreamName, Keeping>>>,
    /// Of this process: masked values are compared under it, and nobody can guess them without it.
    secret: Arc<RandomState>,
}

impl Chronicle {
    /// Notes everything in this journal.
    pub fn new(journal: Arc<dyn Journal>, keeping: HashMap<StreamName, Keeping>) -> Self {
        Self { journal: Some(journal), keeping: Arc::new(RwLock::new(keeping)), secret: Arc::default() }
    }

    /// Notes nothing.
    pub fn off() -> Self {
        Self { journal: None, keeping: Arc::default(), secret: Arc::default() }
    }

    /// What is kept of each stream from now on.
    pub fn keep(&self, keeping: HashMap<StreamName, Keeping>) {
        *self.keeping.write().unwrap_or_else(PoisonError::into_inner) = keeping;
    }

    fn keeping(&self, stream: &StreamName) -> Option<Keeping> {
        self.keeping.read().unwrap_or_else(PoisonError::into_inner).get(stream).cloned()
    }

    /// A sealed batch, once it is durable and before it is published: again when it is published again.
    pub fn sealed(&self, feed: &FeedName, envelopes: &[Envelope]) {
        let Some(journal) = &self.journal else { return };
        for of_stream in by_stream(envelopes) {
            let number = of_stream[0].seq.number;
            for block in blocks(&of_stream) {
                let keeping = self.keeping(&block[0].stream);
                let archive = keeping.as_ref().and_then(|keeping| keeping.archive);
                let kept = |envelope: &&Envelope| Envelope {
                    body: self.kept_body(keeping.as_ref(), envelope),
                    ..(*envelope).clone()
                };
                let envelopes = block.iter().map(kept).collect();
                journal.note(Event::Sealed(Run { feed: feed.clone(), number, envelopes, archive }));
            }
        }
    }

    /// Every message of the batch is confirmed.
    pub fn published(&self, envelopes: &[Envelope]) {
        let Some(journal) = &self.journal else { return };
        for of_stream in by_stream(envelopes) {
            let (first, last) = (of_stream[0], of_stream[of_stream.len() - 1]);
            journal.note(Event::Published {
                stream: first.stream.clone(),
                first: first.seq,
                last: last.seq.number,
                at: Moment::now(),
            });
        }
    }

    /// An attempt was made and judged.
    pub fn attempt(
        &self,
        route: &RouteName,
        envelope: &Envelope,
        took: Duration,
        outcome: &Result<Receipt, DeliveryError>,
    ) {
        if self.journal.is_none() {
            return;
        }
        let what = match outcome {
            Ok(receipt) => {
                What::Attempt { took, result: "ok", status: receipt.status, message: String::new(), answer: None }
            }
            Err(error) => What::Attempt {
                took,
                result: error.fault.as_str(),
                status: error.exchange.answer.as_deref().and_then(status),
                message: self.masked(envelope, &error.message),
                answer: error.exchange.answer.as_deref().map(|answer| self.masked(envelope, answer)),
            },
        };
        self.step(route, &envelope.stream, envelope.seq, what);
    }

    /// A dead letter is being kept.
    pub fn dead(&self, route: &RouteName, envelope: &Envelope, fault: &str, message: &str) {
        let what = What::Dead { fault: fault.to_owned(), message: self.masked(envelope, message) };
        self.step(route, &envelope.stream, envelope.seq, what);
    }

    /// A person did something about a message.
    pub fn person(&self, route: &RouteName, (stream, seq): (&StreamName, Seq), deed: Deed, who: &str) {
        // Whoever calls the bus names himself; a name is no document.
        self.step(route, stream, seq, What::Person { deed, who: cut(who, WHO) });
    }

    /// Anything else that happened to a message; holds nothing of the record.
    pub fn step(&self, route: &RouteName, stream: &StreamName, seq: Seq, what: What) {
        if let Some(journal) = &self.journal {
            let (route, stream) = (route.clone(), stream.clone());
            journal.note(Event::Step(Step { route, stream, seq, at: Moment::now(), what }));
        }
    }

    fn kept_body(&self, keeping: Option<&Keeping>, envelope: &Envelope) -> Bytes {
        let Some(keeping) = keeping.filter(|keeping| keeping.archive.is_some()) else { return Bytes::new() };
        if keeping.masks.is_empty() {
            return envelope.body.clone();
        }
        let masked = keeping.masks.body(&envelope.body, envelope.key.as_str(), &self.secret);
        masked.map_or_else(Bytes::new, Bytes::from)
    }

    /// Masked first and cut then: half a value at the cut would not be recognised.
    fn masked(&self, envelope: &Envelope, text: &str) -> String {
        let masks = self.keeping(&envelope.stream).map(|keeping| keeping.masks);
        match masks.filter(|masks| !masks.is_empty()) {
            None => cut(text, EXCERPT),
            Some(masks) => {
                let masked = masks.text(text, &envelope.body);
                masked.map_or_else(String::new, |masked| cut(&masked, EXCERPT))
            }
        }
    }
}

fn by_stream(envelopes: &[Envelope]) -> Vec<Vec<&Envelope>> {
    let mut streams: Vec<Vec<&Envelope>> = Vec::new();
    for envelope in envelopes {
        match streams.iter_mut().find(|stream| stream[0].stream == envelope.stream) {
            Some(stream) => stream.push(envelope),
            None => streams.push(vec![envelope]),
        }
    }
    streams
}

/// Always cut at the same places, so that a batch that is noted again after a crash makes the same blocks.
fn blocks<'a, 'b>(envelopes: &'a [&'b Envelope]) -> Vec<&'a [&'b Envelope]> {
    let (mut blocks, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, envelope) in envelopes.iter().enumerate() {
        if at > start && (at - start == BLOCK || bytes + envelope.body.len() > BLOCK_BYTES) {
            blocks.push(&envelopes[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += envelope.body.len();
    }
    blocks.push(&envelopes[start..]);
    blocks
}

/// The code that an answer such as `422 Unprocessable Entity` begins with.
fn status(answer: &str) -> Option<u16> {
    let code = answer.get(..3)?.parse().ok()?;
    answer[3..].chars().next().is_none_or(|next| !next.is_ascii_digit()).then_some(code)
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;

    use super::*;
    use crate::ports::state::StateError;
    use crate::vocabulary::{ContentHash, Exchange, Fault, Key, MessageId, Operation};

    #[derive(Default)]
    struct Memory(Mutex<Vec<Event>>);

    #[async_trait]
    impl Journal for Memory {
        fn note(&self, event: Event) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        }
        async fn flush(&self) -> Result<(), StateError> {
            Ok(())
        }
    }

    fn envelope(stream: &str, number: u64, body: &str) -> Envelope {
        let (stream, key) = (StreamName::new(stream).unwrap(), Key::from_stored("к"));
        let hash = ContentHash::of(Operation::Upsert, body.as_bytes());
        Envelope {
            id: MessageId::derive(&stream, &key, number, &hash),
            stream,
            key,
            seq: Seq { epoch: 2, number },
            generation: number,
            operation: Operation::Upsert,
            time: Moment(5),
            label: None,
            hash,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn chronicle(archive: bool) -> (Chronicle, Arc<Memory>) {
        let (memory, stream) = (Arc::new(Memory::default()), StreamName::new("люди").unwrap());
        let masks = Masks::new(vec![vec!["тел".into()]]);
        let keeping = Keeping { archive: archive.then_some(Duration::from_secs(60)), masks };
        (Chronicle::new(memory.clone() as _, HashMap::from([(stream, keeping)])), memory)
    }

    fn runs(memory: &Memory) -> Vec<(u64, Vec<u64>)> {
        let events = memory.0.lock().unwrap();
        let numbers = |run: &Run| run.envelopes.iter().map(|e| e.seq.number).collect();
        events
            .iter()
            .filter_map(|e| if let Event::Sealed(run) = e { Some((run.number, numbers(run))) } else { None })
            .collect()
    }

    #[test]
    fn a_batch_becomes_blocks_of_one_stream_and_a_bounded_size() {
        let (chronicle, memory) = chronicle(false);
        let feed = FeedName::new("склад").unwrap();
        let large = "x".repeat(BLOCK_BYTES);
        let batch = [
            envelope("люди", 7, "{}"),
            envelope("цены", 1, "{}"),
            envelope("люди", 8, &large),
            envelope("люди", 9, "{}"),
        ];
        chronicle.sealed(&feed, &batch);
        assert_eq!(runs(&memory), [(7, vec![7]), (7, vec![8]), (7, vec![9]), (1, vec![1])]);
        let many: Vec<_> = (1..=600).map(|number| envelope("цены", number, "{}")).collect();
        chronicle.sealed(&feed, &many);
        let sizes: Vec<usize> = runs(&memory)[4..].iter().map(|(_, numbers)| numbers.len()).collect();
        assert_eq!(sizes, [256, 256, 88]);
    }

    #[test]
    fn nothing_masked_is_noted_and_bodies_only_where_they_are_kept() {
        let record = envelope("люди", 1, r#"{"тел":"79001234567"}"#);
        let route = RouteName::new("р").unwrap();
        let exchange = Exchange { request: None, answer: Some("422 Bad\n\n{\"got\":\"79001234567\"}".into()) };
        let error = DeliveryError::new(Fault::Rejected, "79001234567 is wrong").with_exchange(exchange);
        for archive in [true, false] {
            let (chronicle, memory) = chronicle(archive);
            chronicle.sealed(&FeedName::new("ф").unwrap(), std::slice::from_ref(&record));
            chronicle.attempt(&route, &record, Duration::ZERO, &Err(error.clone()));
            chronicle.dead(&route, &record, "rejected", "79001234567");
            let events = memory.0.lock().unwrap();
            assert!(!format!("{events:?}").contains("79001234567"));
            let Event::Sealed(run) = &events[0] else { panic!("the first note is the seal") };
            assert_eq!(run.envelopes[0].body.is_empty(), !archive);
            let Event::Step(Step { what: What::Attempt { status, answer, .. }, .. }) = &events[1] else {
                panic!("an attempt")
            };
            assert_eq!((*status, answer.as_deref()), (Some(422), Some("422 Bad\n\n{\"got\":\"***\"}")));
        }
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        assert_eq!(cut("абв", 2), "аб…");
        assert_eq!(cut("аб", 2), "аб");
        assert_eq!((status("422 x"), status("4221"), status("abc"), status("42")), (Some(422), None, None, None));
    }
}
