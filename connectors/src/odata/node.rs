//! The node of an exchange plan that stands for the bus: its numbers, its questions and its acknowledgements.
//!
//! Three rules keep what 1C has registered from being forgotten unseen. 1C stamps changes with the number of the message that
//! they went into, and forgets on `NotifyChangesReceived(n)` all that are stamped with n or less.
//!
//! - A number is asked for once. After an answer that was lost the next number is asked for, which repeats what was in it.
//! - Nothing is asked for while an answer is not settled.
//! - A question that was cut off may still be at work in 1C, and stamp changes after the next answer was made: before
//!   anything else is asked for, 1C must show that it has come to an end (`SentNo`), or a quiet time must have passed.

use std::io::Write;

use bus_core::engine::crash;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::{Identity, Moment};
use reqwest::Method;
use serde_json::{Map, Value};

use super::address;
use super::base::{Base, Failed};
use super::options::Plan;
use super::rows::Rows;
use super::spool::{Asked, Spool};
use crate::closed;

/// An answer is as large as what was changed; more than a disk should be asked to hold is a mistake in the plan.
const ANSWER_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// What came of asking for changes.
pub enum Selected {
    /// They are in the spool.
    Changes,
    /// There are none.
    Nothing,
    /// An earlier question may still be at work.
    NotYet,
}

/// A node as 1C knows it.
struct Node {
    address: String,
    reference: String,
    sent: u64,
    received: u64,
}

/// Asks for what was registered, and keeps the answer. `seen` is the highest number that the cursor knows.
pub async fn select(
    base: &Base,
    plan: &Plan,
    spool: &Spool,
    seen: u64,
    permits: &Permits,
) -> Result<Selected, SourceError> {
    let permit = permits.take().await.map_err(closed::unread)?;
    let node = find(base, plan).await?;
    drop(permit);
    let before = spool.asked().map_err(disk)?;
    if let Some(asked) = before.filter(|asked| asked.open) {
        let age = Moment(asked.at).until(Moment::now());
        if node.sent < asked.number && age < plan.quiet {
            return Ok(Selected::NotYet);
        }
    }
    let known = [node.sent, node.received, seen, before.map_or(0, |asked| asked.number)];
    let number = known.into_iter().max().unwrap_or(0) + 1;
    // Both waited for first: a stop or a kill meanwhile leaves no question in doubt.
    let _permit = permits.take().await.map_err(closed::unread)?;
    let session = base.session().await.map_err(Failed::error)?;
    let asked = Asked::now(number);
    spool.note(asked).map_err(disk)?;
    crash::point("plan.asked");
    let question = question("SelectChanges", &node.address, number);
    let mut answer = match base.ask_in(session, Method::POST, &question, false).await {
        Ok(answer) => answer,
        Err(failed) => {
            if !failed.in_doubt() {
                spool.note(Asked { open: false, ..asked }).map_err(disk)?;
            }
            return Err(failed.error());
        }
    };
    // 1C makes the whole answer before it sends the first byte of it.
    spool.note(Asked { open: false, ..asked }).map_err(disk)?;
    crash::point("plan.answered");
    let (mut file, mut bytes) = (spool.part().map_err(disk)?, 0);
    while let Some(chunk) = answer.chunk().await.map_err(Failed::error)? {
        bytes += chunk.len() as u64;
        if bytes > ANSWER_BYTES {
            let why = "1C's answer has more than 16 GB: let the plan register less at a time";
            return Err(SourceError::new(SourceFault::Misconfigured, why));
        }
        file.write_all(&chunk).map_err(disk)?;
    }
    drop((answer, file));
    let (kept, address) = (spool.clone(), node.address);
    let keep = tokio::task::spawn_blocking(move || kept.keep(number, &address));
    let count = keep.await.map_err(|error| disk(std::io::Error::other(error)))?.map_err(disk)?;
    crash::point("plan.spooled");
    Ok(if count == 0 { Selected::Nothing } else { Selected::Changes })
}

/// Tells 1C that everything of a message has arrived, and forgets it here.
pub async fn settle(base: &Base, spool: &Spool, number: u64, node: &str) -> Result<(), SourceError> {
    let answer = base.ask(Method::POST, &question("NotifyChangesReceived", node, number), false).await;
    drop(answer.map_err(Failed::error)?);
    crash::point("plan.notified");
    spool.settle().map_err(disk)
}

fn question(name: &str, node: &str, number: u64) -> String {
    format!("/{name}?DataExchangePoint={}&MessageNo={number}", address::option(&format!("'{node}'")))
}

/// The node with the configured code. Codes are padded and no two spellings of them differ by blanks.
async fn find(base: &Base, plan: &Plan) -> Result<Node, SourceError> {
    let wrong = |what: String| SourceError::new(SourceFault::Misconfigured, what);
    let list = format!("/{}?$format=json", address::path(&plan.plan));
    let answer = base.ask(Method::GET, &list, true).await.map_err(Failed::error)?;
    let (mut rows, mut codes) = (Rows::new(answer), Vec::new());
    while let Some((fields, _)) = rows.next().await.map_err(Failed::error)? {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().trim_end();
        if text("Code") != plan.node {
            codes.push(text("Code").to_owned());
            continue;
        }
        if fields.get("ThisNode") == Some(&Value::Bool(true)) {
            return Err(wrong(format!(
                "node {:?} of {} is the base itself; the bus needs one of its own",
                plan.node, plan.plan
            )));
        }
        let reference = text("Ref_Key");
        if !address::is_guid(reference) {
            return Err(wrong(format!("1C gives no reference for node {:?} of {}", plan.node, plan.plan)));
        }
        let root = plan.point.as_ref().map_or(base.root(), |point| point.as_str().trim_end_matches('/'));
        let address = format!("{root}/{}(guid'{reference}')", plan.plan);
        let reference = reference.to_owned();
        return Ok(Node {
            address,
            reference,
            sent: number(&fields, "SentNo"),
            received: number(&fields, "ReceivedNo"),
        });
    }
    codes.truncate(20);
    Err(wrong(format!("{} has no node with the code {:?}; it has {}", plan.plan, plan.node, codes.join(", "))))
}

/// Which base this is, as far as its plan tells: another node by the same code is another base, and numbers that have fallen are
/// those of a copy, or of a backup that was restored.
pub async fn identity(base: &Base, plan: &Plan) -> Result<Identity, SourceError> {
    let node = find(base, plan).await?;
    Ok(Identity {
        base: format!("{} {}", plan.plan, node.reference),
        timeline: 0,
        position: Some(node.sent.max(node.received)),
    })
}

/// The numbers a check shows: that the node is there and may be read.
pub async fn check(base: &Base, plan: &Plan) -> Result<String, SourceError> {
    let node = find(base, plan).await?;
    Ok(format!("node {}: sent {}, received {}", plan.node, node.sent, node.received))
}

fn number(fields: &Map<String, Value>, name: &str) -> u64 {
    match fields.get(name) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    }
}

/// The spool is on our own disk: nothing is lost by waiting for it.
pub(super) fn disk(error: std::io::Error) -> SourceError {
    SourceError::new(SourceFault::Unavailable, format!("the spool of the exchange plan: {error}"))
}

impl Failed {
    /// 1C may still be at work on it.
    fn in_doubt(&self) -> bool {
        match self {
            Self::Wire { sent, .. } => *sent,
            Self::Trouble(trouble) => trouble.may_be_away(),
            Self::Broken(_) => false,
        }
    }
}
