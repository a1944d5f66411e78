//! Work that is not cut off with whoever waits for it: a client that goes away leaves no order half done, durable and
//! without effect.

/// Runs to its end on the runtime, also when the caller is dropped. A panic goes on in the caller.
pub(super) async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cuts it off, and the caller with it.
            Err(_) => std::future::pending().await,
        },
    }
}
