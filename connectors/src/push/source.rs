//! The queue itself: a caller's request on one side, the engine's `fetch` and `committed` on the other.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, ScanPage, Source, SourceError, SourceFault, SystemReport};
use bus_core::vocabulary::{Cursor, Key, Operation, StreamName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};

use super::Options;
use super::parse::{self, Element, ElementError};

/// `fetch` returns empty after this long without a request, so that the engine stays in charge of its loop.
const WAIT: Duration = Duration::from_millis(500);

/// What a refused caller is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request was not taken, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushRefusal {
    /// Answer 400: nothing of the request was taken.
    #[error("nothing was taken: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Malformed(Vec<ElementError>),
    /// Answer 413: the request alone is larger than the whole queue.
    #[error("the request has {size} bytes, at most {limit} can be taken at once")]
    TooLarge {
        /// Of the request.
        size: usize,
        /// Of the queue.
        limit: usize,
    },
    /// Answer 503 with `Retry-After`: the queue is full.
    #[error("too many requests are waiting; send again later")]
    Busy {
        /// For `Retry-After`.
        retry_after: Duration,
    },
    /// Answer 504: it may still be published. Sending it again does no harm.
    #[error("not confirmed in time; send it again")]
    Unconfirmed,
    /// Answer 503: the stream is paused or the bus is stopping.
    #[error("the stream takes nothing now; send it again later")]
    Closed,
}

/// The caller's side. Clone it freely.
#[derive(Clone)]
pub struct PushHandle {
    options: Arc<Options>,
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
}

/// One caller's request on its way to the source.
struct Request {
    records: Vec<Element>,
    confirm: Confirm,
}

/// Shared by the records of one request; the last confirmed one answers the caller.
struct Confirm {
    left: AtomicUsize,
    answer: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    /// Room in the queue, given back when the request is confirmed.
    _room: OwnedSemaphorePermit,
}

impl Confirm {
    fn one(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Ok(mut answer) = self.answer.lock()
            && let Some(answer) = answer.take()
        {
            // A caller who has gone will send again, which does no harm.
            let _ = answer.send(());
        }
    }
}

/// The engine's side: holds what was taken from the queue until it is committed.
pub struct PushSource {
    requests: mpsc::Receiver<Request>,
    waiting: VecDeque<(Element, Arc<Confirm>)>,
    /// What the last `fetch` returned, until it is committed: returned again unless it is.
    under_way: Vec<(Element, Arc<Confirm>)>,
    /// This start of the program: a stored cursor of an earlier one confirms nothing.
    run: u64,
    batch: u64,
}

/// Opens a queue.
pub fn open(options: Options) -> (PushHandle, PushSource) {
    let (sender, requests) = mpsc::channel(options.queue_requests.max(1));
    let room = Arc::new(Semaphore::new(options.queue_bytes.min(Semaphore::MAX_PERMITS)));
    let handle = PushHandle { options: Arc::new(options), requests: sender, room };
    let source =
        PushSource { requests, waiting: VecDeque::new(), under_way: Vec::new(), run: fastrand::u64(..), batch: 0 };
    (handle, source)
}

impl PushHandle {
    /// Takes one request and returns when everything in it is durable in the broker. Dropping the future takes
    /// nothing back: the records are published, only nobody is told.
    pub async fn push(&self, body: &[u8], operation: Operation) -> Result<(), PushRefusal> {
        let limit = self.options.queue_bytes;
        if body.len() > limit {
            return Err(PushRefusal::TooLarge { size: body.len(), limit });
        }
        let bytes = u32::try_from(body.len().max(1)).unwrap_or(u32::MAX);
        let room = match Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            Ok(room) => room,
            Err(TryAcquireError::NoPermits) => return Err(PushRefusal::Busy { retry_after: RETRY_AFTER }),
            Err(TryAcquireError::Closed) => return Err(PushRefusal::Closed),
        };
        let records = parse::records(body, operation, &self.options.serves).map_err(PushRefusal::Malformed)?;
        if records.is_empty() {
            return Ok(());
        }
        let (answer, confirmed) = oneshot::channel();
        let left = AtomicUsize::new(records.len());
        let confirm = Confirm { left, answer: std::sync::Mutex::new(Some(answer)), _room: room };
        self.requests.try_send(Request { records, confirm }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => PushRefusal::Busy { retry_after: RETRY_AFTER },
            mpsc::error::TrySendError::Closed(_) => PushRefusal::Closed,
        })?;
        match tokio::time::timeout(self.options.confirm_within, confirmed).await {
            Ok(Ok(())) => Ok(()),
            // The source was dropped with the request in it.
            Ok(Err(_)) => Err(PushRefusal::Closed),
            Err(_) => Err(PushRefusal::Unconfirmed),
        }
    }
}

impl PushSource {
    fn admit(&mut self, request: Request) {
        let confirm = Arc::new(request.confirm);
        self.waiting.extend(request.records.into_iter().map(|record| (record, Arc::clone(&confirm))));
    }

    /// Fills `under_way` up to the limit, and ends before a second version of a key: both would be on their way to
    /// the broker at once, and a crash could leave the older one on top.
    fn begin(&mut self, limit: BatchLimit) {
        let (mut keys, mut bytes) = (HashSet::new(), 0);
        while self.under_way.len() < limit.records.max(1) && bytes < limit.bytes.max(1) {
            match self.waiting.front() {
                Some((element, _)) if element.place().is_none_or(|place| keys.insert(place)) => {
                    bytes += element.bytes();
                }
                _ => break,
            }
            self.under_way.extend(self.waiting.pop_front());
        }
        self.batch += 1;
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(format!(r#"{{"v":1,"run":"{:016x}","batch":{}}}"#, self.run, self.batch))
    }

    fn confirm(&mut self) {
        for (_, confirm) in self.under_way.drain(..) {
            confirm.one();
        }
    }
}

/// Each batch has a cursor of its own although there is no position to go back to: it says exactly which batch is
/// durable. So a `committed` that repeats, or that comes after a failed round or a restart, confirms nothing to callers
/// whose records are not in the broker.
#[async_trait]
impl Source for PushSource {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        Ok(SystemReport { version: "pushed to us".into(), ..SystemReport::default() })
    }

    /// Takes no permit: nothing is asked of the system.
    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        _permits: &Permits,
    ) -> Result<Batch, SourceError> {
        if !self.under_way.is_empty() && after == Some(&self.cursor()) {
            self.confirm();
        }
        if self.under_way.is_empty() {
            if self.waiting.is_empty()
                && let Ok(Some(request)) = tokio::time::timeout(WAIT, self.requests.recv()).await
            {
                self.admit(request);
            }
            while self.waiting.len() < limit.records {
                let Ok(request) = self.requests.try_recv() else { break };
                self.admit(request);
            }
            if self.waiting.is_empty() {
                return Ok(Batch { next: after.cloned(), ..Batch::default() });
            }
            self.begin(limit);
        }
        let more = !self.waiting.is_empty() || !self.requests.is_empty();
        let mut batch = Batch { next: Some(self.cursor()), more, ..Batch::default() };
        for (element, _) in &self.under_way {
            match element {
                Element::Record(record) => batch.records.push(record.clone()),
                Element::Untaken(row) => batch.unreadable.push(row.clone()),
            }
        }
        Ok(batch)
    }

    async fn scan(&mut self, _restart: bool, _limit: BatchLimit, _permits: &Permits) -> Result<ScanPage, SourceError> {
        Err(unasked())
    }

    async fn present(&mut self, _: &StreamName, _: &[Key], _: &Permits) -> Result<Vec<bool>, SourceError> {
        Err(unasked())
    }

    async fn committed(&mut self, cursor: Option<&Cursor>, _: &Permits) -> Result<(), SourceError> {
        if cursor == Some(&self.cursor()) {
            self.confirm();
        }
        Ok(())
    }
}

fn unasked() -> SourceError {
    let message = "a pushed stream cannot be asked what exists: remove recheck and diff from it";
    SourceError::new(SourceFault::Misconfigured, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Served, Serves};

    fn options() -> Options {
        let stream = StreamName::new("users").unwrap();
        Options::new(Serves::One(Served { stream, key: vec!["id".into()], label: None, date: None }))
    }

    const LIMIT: BatchLimit = BatchLimit { records: 100, bytes: 1 << 20 };

    async fn fetch(source: &mut PushSource, after: Option<&Cursor>) -> Batch {
        source.fetch(after, LIMIT, &Permits::unbounded()).await.unwrap()
    }

    fn push(handle: &PushHandle, body: &'static str) -> tokio::task::JoinHandle<Result<(), PushRefusal>> {
        let handle = handle.clone();
        tokio::spawn(async move { handle.push(body.as_bytes(), Operation::Upsert).await })
    }

    #[tokio::test]
    async fn a_caller_is_answered_only_after_the_commit_of_its_own_batch() {
        let (handle, mut source) = open(options());
        let caller = push(&handle, r#"{"id":1}"#);
        let batch = fetch(&mut source, None).await;
        assert_eq!(batch.records.len(), 1);
        // Neither a repeated commit of nothing nor one of an earlier run confirms it.
        source.committed(None, &Permits::unbounded()).await.unwrap();
        source
            .committed(Some(&Cursor::new(r#"{"v":1,"run":"0000000000000000","batch":1}"#)), &Permits::unbounded())
            .await
            .unwrap();
        // The round failed: the same batch again.
        assert_eq!(fetch(&mut source, None).await.records, batch.records);
        assert!(!caller.is_finished());
        source.committed(batch.next.as_ref(), &Permits::unbounded()).await.unwrap();
        source.committed(batch.next.as_ref(), &Permits::unbounded()).await.unwrap();
        assert_eq!(caller.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn two_versions_of_a_key_never_share_a_batch() {
        let (handle, mut source) = open(options());
        let caller = push(&handle, r#"[{"id":1,"v":1},{"id":2},{"id":1,"v":2}]"#);
        let first = fetch(&mut source, None).await;
        assert_eq!((first.records.len(), first.more), (2, true));
        // A fetch after the stored cursor says as much as a commit.
        let second = fetch(&mut source, first.next.as_ref()).await;
        assert_eq!(&second.records[0].body[..], br#"{"id":1,"v":2}"#);
        assert!(!second.more && !caller.is_finished());
        source.committed(second.next.as_ref(), &Permits::unbounded()).await.unwrap();
        assert_eq!(caller.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_confirm_makes_room() {
        let (handle, mut source) = open(Options { queue_bytes: 10, ..options() });
        let caller = push(&handle, r#"{"id":1}"#);
        let batch = fetch(&mut source, None).await;
        let busy = Err(PushRefusal::Busy { retry_after: RETRY_AFTER });
        assert_eq!(handle.push(b"{\"id\":2}", Operation::Upsert).await, busy);
        let large = handle.push(b"{\"id\":12345}", Operation::Upsert).await;
        assert_eq!(large, Err(PushRefusal::TooLarge { size: 12, limit: 10 }));
        source.committed(batch.next.as_ref(), &Permits::unbounded()).await.unwrap();
        caller.await.unwrap().unwrap();
        let caller = push(&handle, r#"{"id":2}"#);
        assert_eq!(fetch(&mut source, batch.next.as_ref()).await.records.len(), 1);
        drop(source);
        assert_eq!(caller.await.unwrap(), Err(PushRefusal::Closed));
    }

    #[tokio::test]
    async fn the_wait_for_a_confirm_is_bounded_and_the_record_stays() {
        let (handle, mut source) = open(Options { confirm_within: Duration::from_millis(20), ..options() });
        assert_eq!(handle.push(b"{\"id\":1}", Operation::Upsert).await, Err(PushRefusal::Unconfirmed));
        assert_eq!(fetch(&mut source, None).await.records.len(), 1);
    }

    #[tokio::test]
    async fn a_bad_request_leaves_nothing_behind() {
        let (handle, mut source) = open(options());
        let refusal = handle.push(br#"[{"id":1},{}]"#, Operation::Upsert).await.unwrap_err();
        assert!(refusal.to_string().contains("element 1: key field \"id\" is missing"), "{refusal}");
        assert_eq!(handle.push(b"[]", Operation::Upsert).await, Ok(()));
        let after = Cursor::new("stored");
        let batch = fetch(&mut source, Some(&after)).await;
        assert_eq!((batch.records.len(), batch.next), (0, Some(after)));
    }
}
