//! Waiting for a condition with a deadline, in place of sleeping.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout};

/// How often a condition is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// A question that is not answered by then is asked again: a server that is just starting may lose one.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks until `probe` returns `Ok(Some(value))`; the error after `limit` names `what` and the last reason.
///
/// `Ok(None)` and `Err` both mean "not yet": a server that is starting refuses connections.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    let mut reason = String::from("it never came true");
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        match timeout(ANSWER.min(left), probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => reason = format!("{error:#}"),
            Err(_) => reason = "the question itself was not answered".to_owned(),
        }
        sleep(PAUSE.min(left)).await;
    }
    Err(anyhow!("waited {limit:?} for {what}: {reason}"))
}
