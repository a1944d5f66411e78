//! Tells people of incidents: one task for each channel, which asks `policy::Teller` what is due and sends it.
//!
//! Whoever cannot be told blocks nothing: a failure shows in status and metrics, and is tried again, ever more rarely.
//! A message is noted as told after it was accepted, so a crash in between repeats it.

mod email;
mod message;
mod telegram;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bus_config::{Landscape, Way as Configured};
use bus_core::engine::supervisor::watched;
use bus_core::policy::{CauseId, Due, TellRules, Teller};
use bus_core::ports::watch::Told;
use bus_core::vocabulary::Moment;
use bus_options::SecretOr;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::message::Message;
use crate::watch::Oversight;

/// How often it is looked at what is due.
const TICK: Duration = Duration::from_millis(500);
/// One try to send; a mail server takes its time.
const TRY: Duration = Duration::from_secs(15);
/// Tries in a row, with a second in between, doubling.
const TRIES: u32 = 3;
/// After that many in vain: so long until the next ones, doubling up to [`REST_AT_MOST`].
const REST: Duration = Duration::from_secs(30);
const REST_AT_MOST: Duration = Duration::from_secs(600);

/// A way to reach people. One try; the error is in words, without address, token or password.
#[async_trait]
trait Way: Send + Sync {
    async fn send(&self, message: &Message) -> Result<(), String>;
}

/// A channel that is ready to be used.
pub struct Channel {
    name: String,
    rules: TellRules,
    way: Box<dyn Way>,
    status: Mutex<ChannelStatus>,
}

/// What `status` tells about a channel.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct ChannelStatus {
    pub name: String,
    pub last_sent: Option<String>,
    /// Why the last message could not be sent, while that lasts.
    pub error: Option<String>,
}

impl Channel {
    pub fn status(&self) -> ChannelStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads secrets; connects to nothing.
pub fn channels(landscape: &Landscape) -> anyhow::Result<Vec<Arc<Channel>>> {
    landscape.notify.iter().map(|channel| channel_of(channel, landscape).map(Arc::new)).collect()
}

fn channel_of(channel: &bus_config::Channel, landscape: &Landscape) -> anyhow::Result<Channel> {
    let what = format!("notify.{}", channel.name);
    let way: Box<dyn Way> = match &channel.way {
        Configured::Webhook { url, headers } => {
            let url = match url {
                SecretOr::Literal(url) => url.clone(),
                SecretOr::Secret(secret) => {
                    let secret = secret.load().with_context(|| format!("the address of {what}"))?;
                    secret.expose().parse().map_err(|_| anyhow::anyhow!("the address of {what} is not a URL"))?
                }
            };
            Box::new(webhook::Webhook::new(url, headers, &what)?)
        }
        Configured::Telegram { url, token, chat } => {
            let token = token.load().with_context(|| format!("the token of {what}"))?;
            Box::new(telegram::Telegram::new(url.clone(), token, chat.clone())?)
        }
        Configured::Email { .. } => Box::new(email::Email::new(&channel.way, &what)?),
    };
    let rules = TellRules {
        wait: channel.wait,
        repeat: channel.repeat,
        level: channel.level,
        quiet: channel.quiet,
        zone: landscape.bus.timezone,
        resolved: channel.resolved,
    };
    let status = ChannelStatus { name: channel.name.clone(), ..ChannelStatus::default() };
    Ok(Channel { name: channel.name.clone(), rules, way, status: Mutex::new(status) })
}

/// Starts to tell, until stopped.
pub fn start(channels: &[Arc<Channel>], oversight: &Arc<Oversight>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let run = |channel: &Arc<Channel>| {
        let (name, incidents) = (format!("notify {}", channel.name), oversight.workshop.incidents.clone());
        tokio::spawn(watched(run(Arc::clone(channel), Arc::clone(oversight), stop.clone()), name, incidents))
    };
    channels.iter().map(run).collect()
}

async fn run(channel: Arc<Channel>, oversight: Arc<Oversight>, stop: CancellationToken) {
    let work = async {
        let mut teller = resume(&channel, &oversight).await;
        let mut failures = 0;
        loop {
            tokio::time::sleep(TICK).await;
            if channel.turn(&mut teller, &oversight).await {
                failures = 0;
            } else {
                failures += 1;
                tokio::time::sleep((REST * 2u32.saturating_pow(failures - 1)).min(REST_AT_MOST)).await;
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(work).await;
}

/// What a predecessor told, with patience: without it, everything would be told again.
async fn resume(channel: &Channel, oversight: &Oversight) -> Teller {
    loop {
        match oversight.store.told(&channel.name).await {
            Ok(told) => return Teller::resume(told.into_iter().map(|told| ((told.kind, told.subject), told.at))),
            Err(error) => {
                tracing::warn!(channel = channel.name, "what was told before cannot be read, trying again: {error}");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

impl Channel {
    /// Sends what is due; `false` if that failed.
    async fn turn(&self, teller: &mut Teller, oversight: &Oversight) -> bool {
        let now = Moment::now();
        let open = oversight.workshop.incidents.list();
        let plan = oversight.plan();
        let topology = &plan.topology;
        let causes = topology.causes(&open);
        let exists = |id: &CauseId| open.iter().any(|incident| topology.group(incident.kind, &incident.subject) == *id);
        let muted = |cause: &bus_core::policy::Cause| oversight.is_quiet(cause.system.as_deref(), now);
        let due = teller.due(&self.rules, &causes, exists, muted, now);
        if !due.is_silent() {
            let message = Message::of(&oversight.name, &due, &causes, self.rules.zone);
            let sent = self.send(&message).await;
            let result = if sent.is_ok() { "ok" } else { "failed" };
            oversight.workshop.metrics.notifications.with_label_values(&[self.name.as_str(), result]).inc();
            oversight
                .workshop
                .metrics
                .notify_failing
                .with_label_values(&[self.name.as_str()])
                .set(i64::from(sent.is_err()));
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.error = sent.clone().err();
            if let Err(error) = sent {
                drop(status);
                tracing::warn!(channel = self.name, "nobody could be told, trying again: {error}");
                return false;
            }
            status.last_sent = Some(Moment::now().to_string());
        }
        if !due.is_silent() || !due.forgotten.is_empty() {
            let now = Moment::now();
            teller.sent(&due, now);
            self.note(&due, oversight, now).await;
        }
        true
    }

    async fn send(&self, message: &Message) -> Result<(), String> {
        let mut pause = Duration::from_secs(1);
        let mut tried = 1;
        loop {
            let sent = match tokio::time::timeout(TRY, self.way.send(message)).await {
                Ok(sent) => sent,
                Err(_) => Err(format!("no answer within {} s", TRY.as_secs())),
            };
            if sent.is_ok() || tried == TRIES {
                return sent;
            }
            tokio::time::sleep(pause).await;
            (pause, tried) = (pause * 2, tried + 1);
        }
    }

    async fn note(&self, due: &Due, oversight: &Oversight, at: Moment) {
        let told = |(kind, subject): &CauseId| Told { kind: *kind, subject: subject.clone(), at };
        let told: Vec<Told> = due.new.iter().chain(&due.again).map(told).collect();
        let over: Vec<CauseId> = due.over.iter().chain(&due.forgotten).cloned().collect();
        if let Err(error) = oversight.store.keep_told(&self.name, &told, &over).await {
            tracing::warn!(channel = self.name, "after a restart this is told again: {error}");
        }
    }
}
