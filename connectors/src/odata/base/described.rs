//! `$metadata`: asked for, kept on disk, and for how long what is known of it holds.

use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use bus_core::ports::permits::Permits;
use reqwest::Method;
use tempfile::NamedTempFile;

use super::{Base, Failed};
use crate::closed;
use crate::odata::metadata::{self, MetadataError};
use crate::odata::model::Model;

/// Where the base describes itself.
pub(super) const METADATA: &str = "/$metadata";
/// `$metadata` of the largest known base has 17 MB.
const METADATA_BYTES: usize = 256 * 1024 * 1024;
/// After this time it is read again, because what a base publishes changes with its configuration.
const MODEL_AGE: Duration = Duration::from_secs(3600);

/// What is known of a base.
#[derive(Default)]
pub(super) struct Known {
    model: Option<(Arc<Model>, SystemTime)>,
    /// Read because of a record that did not fit what was known before.
    doubted: Option<Arc<Model>>,
}

impl Known {
    /// What still holds.
    pub(super) fn model(&self) -> Option<&Arc<Model>> {
        let (model, read) = self.model.as_ref()?;
        // A clock that was put back makes it old.
        (read.elapsed().ok()? < MODEL_AGE).then_some(model)
    }
}

impl Base {
    /// What the base publishes: for an hour as it was read last, a restart included; asked for again after that, or when
    /// `fresh` says so. Only then it takes a permit.
    pub async fn model(&self, fresh: bool, permits: &Permits) -> Result<Arc<Model>, Failed> {
        if let Some(model) = self.holding(&mut *self.shared.model.lock().await, fresh).await {
            return Ok(model);
        }
        // Not under the lock, which everybody needs who works in this base.
        let closed = |closed| Failed::Wire { error: closed::unread(closed), sent: false };
        let _permit = permits.take().await.map_err(closed)?;
        let mut known = self.shared.model.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(model) = self.holding(&mut known, fresh).await {
            return Ok(model);
        }
        self.renew(&mut known).await
    }

    /// What is known and still holds, unless it has to be `fresh`.
    async fn holding(&self, known: &mut Known, fresh: bool) -> Option<Arc<Model>> {
        if fresh {
            return None;
        }
        if known.model.is_none() {
            known.model = self.kept().await;
        }
        known.model().filter(|_| !self.may_be_updated()).map(Arc::clone)
    }

    async fn renew(&self, known: &mut Known) -> Result<Arc<Model>, Failed> {
        let model = Arc::new(self.described().await?);
        self.shared.away.lock().unwrap_or_else(PoisonError::into_inner).described();
        known.model = Some((Arc::clone(&model), SystemTime::now()));
        Ok(model)
    }

    /// Whether the base was closed, or away for long, and what it publishes was not read since.
    pub fn may_be_updated(&self) -> bool {
        self.shared.away.lock().unwrap_or_else(PoisonError::into_inner).is_back()
    }

    /// What the base publishes, after a record that does not fit `model`, or a time in which nobody could read it: asked for again, once
    /// for each answer. A base whose records do not fit what it has just said itself is believed.
    pub async fn doubted(&self, model: &Arc<Model>) -> Result<Arc<Model>, Failed> {
        let mut known = self.shared.model.lock().await;
        if self.may_be_updated() {
            return self.renew(&mut known).await;
        }
        if let Some(newer) = known.model().filter(|newer| !Arc::ptr_eq(newer, model)) {
            return Ok(Arc::clone(newer));
        }
        if known.doubted.as_ref().is_some_and(|doubted| Arc::ptr_eq(doubted, model)) {
            return Ok(Arc::clone(model));
        }
        let model = self.renew(&mut known).await?;
        known.doubted = Some(Arc::clone(&model));
        Ok(model)
    }

    /// As it was kept by an earlier process, if it can be used.
    async fn kept(&self) -> Option<(Arc<Model>, SystemTime)> {
        let file = self.cache.clone()?;
        let read = move || {
            let file = File::open(file).ok()?;
            let at = file.metadata().ok()?.modified().ok()?;
            Some((Arc::new(metadata::read(BufReader::new(file)).ok()?), at))
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    async fn described(&self) -> Result<Model, Failed> {
        let broken = |error: io::Error| Failed::Broken(format!("$metadata cannot be kept on disk: {error}"));
        let mut answer = self.ask(Method::GET, METADATA, false).await?;
        // Only a feed that runs makes the folder: who looks leaves nothing behind.
        let cache = self.cache.clone().filter(|file| file.parent().is_some_and(Path::is_dir));
        // It need not be in memory as text while it is read.
        let mut file = part(cache.as_deref()).map_err(broken)?;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len();
            if bytes > METADATA_BYTES {
                return Err(Failed::Broken("$metadata has more than 256 MB".to_owned()));
            }
            file.write_all(&chunk).map_err(broken)?;
        }
        drop(answer);
        let read = tokio::task::spawn_blocking(move || {
            file.rewind().map_err(|error| MetadataError::Malformed(error.to_string()))?;
            let model = metadata::read(BufReader::new(file.as_file()))?;
            if let Some(cache) = cache {
                // Whole or not at all. What is lost with the machine is only asked for again.
                file.persist(cache).map_err(|error| MetadataError::Malformed(error.to_string()))?;
            }
            Ok::<_, MetadataError>(model)
        });
        let model = read.await.map_err(|_| Failed::Broken("reading $metadata failed".to_owned()))?;
        model.map_err(|error| Failed::Broken(error.to_string()))
    }
}

/// Beside the file that it will be.
fn part(cache: Option<&Path>) -> io::Result<NamedTempFile> {
    match cache.and_then(Path::parent) {
        Some(folder) => NamedTempFile::new_in(folder),
        None => NamedTempFile::new(),
    }
}
