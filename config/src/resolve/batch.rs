//! Several records in one request: what then makes no sense, because it is of one of them.

use std::time::Duration;

use bus_options::{Bytes, Located, Report, codes};

use super::template::literals;
use crate::landscape::{Batch, Results};
use crate::language::batch::ResultsTable;
use crate::language::route::{Idempotent, Route};
use crate::language::system::System;

/// What all records of a route have in common, so that it may stand in a request of several.
const COMMON: [&str; 2] = ["stream", "op"];
/// A request is built in memory, once for each of the route's `concurrency`.
const MOST_BYTES: u64 = 64_000_000;
/// What a receiver that answers with words says of what it has taken.
const OK: [&str; 7] = ["ok", "success", "succeeded", "created", "updated", "accepted", "unchanged"];

pub fn resolve(route: &Route, to: Option<&System>, report: &mut Report) -> Option<Batch> {
    let Located { value: batch, span } = route.batch.as_ref()?;
    places(route, to, report);
    if let Some(Idempotent::Header(header)) = &route.idempotent {
        let message = format!("`{header}` carries the key of one record, and a request has several");
        let hint = "say `idempotent = true` if the receiver overwrites, or `false`, or remove `batch`";
        report.add_with_hint(codes::ONE_RECORDS_HEADER, span, message, hint);
    }
    if batch.results.is_none() && route.send.as_ref().is_some_and(|send| send.value.receiver_id.is_some()) {
        let message = "without `results` nothing in the answer belongs to one record, so no `receiver_id` is found";
        let hint = "say where the results stand: results = \"/items/*/status\"; `receiver_id` is looked for in each";
        report.add_with_hint(codes::BATCH_RESULTS, span, message, hint);
    }
    Some(Batch {
        max: batch.max.get() as usize,
        wait: batch.wait.0,
        bytes: bytes(&batch.bytes, report),
        body: batch.body.clone(),
        results: batch.results.as_ref().map(|results| self::results(&results.value.0, results, report)),
    })
}

/// What waits for others is unsettled, and nothing may be for longer than `hold`: half of that is left for its permit.
pub fn waits(route: &Route, hold: Duration, report: &mut Report) {
    let Some(Located { value: batch, span }) = &route.batch else { return };
    if batch.wait.0 * 2 > hold {
        let message = format!(
            "records would wait {:?} for others, and none may be in memory for longer than {hold:?}",
            batch.wait.0
        );
        let hint =
            format!("at most half of `hold` in [bus], which is {:?}; a `schedule` collects for longer", hold / 2);
        report.add_with_hint(codes::BATCH_WAITS, span, message, hint);
    }
}

/// Paths and headers of a request that carries several records hold nothing of one of them.
fn places(route: &Route, to: Option<&System>, report: &mut Report) {
    let Some(send) = &route.send else { return };
    let mut texts = vec![("the path", send.value.path.value.0.as_str(), &send.value.path.span)];
    texts.extend(literals(&send.value.headers).map(|text| ("a header", text, &send.span)));
    if let Some(System::Http(http)) = to {
        texts.extend(literals(&http.headers).map(|text| ("a header of the system", text, &route.to.0.span)));
    }
    for (what, text, span) in texts {
        let named = text.split('{').skip(1).filter_map(|inside| inside.split_once('}'));
        for (place, _) in named.filter(|(place, _)| !COMMON.contains(place)) {
            let message = format!("{what} holds `{{{place}}}`, which is of one record, and a request has several");
            let hint = "put it into the record (`fields`, `transform`), or remove `batch`";
            report.add_with_hint(codes::ONE_RECORDS_PLACE, span, message, hint);
        }
    }
}

fn bytes(bytes: &Located<Bytes>, report: &mut Report) -> usize {
    let Located { value: Bytes(bytes), span } = bytes;
    if *bytes > MOST_BYTES {
        let hint = format!("at most \"{}MB\": a request is built in memory", MOST_BYTES / 1_000_000);
        report.add_with_hint(codes::BAD_VALUE, span, "one request would be too large", hint);
    }
    usize::try_from(*bytes).unwrap_or(usize::MAX)
}

fn results<T>(table: &ResultsTable, at: &Located<T>, report: &mut Report) -> Results {
    if table.status.is_some() && table.error.is_some() {
        let hint = "keep the one that is there for every record";
        let message = "`status` and `error` both decide whether a record was taken";
        report.add_with_hint(codes::BATCH_RESULTS, &at.span, message, hint);
    }
    if table.sent.is_some() && table.key.is_none() {
        let hint = "add `key`, or remove `sent`: results then stand in the order of the records";
        report.add_with_hint(codes::BATCH_RESULTS, &at.span, "`sent` is compared with nothing", hint);
    }
    let text =
        |pointer: &Option<crate::language::pointer::JsonPointer>| pointer.as_ref().map(|pointer| pointer.0.clone());
    Results {
        items: text(&table.items).unwrap_or_default(),
        key: text(&table.key),
        sent: text(&table.sent),
        error: text(&table.error),
        status: text(&table.status).unwrap_or_default(),
        ok: match &table.ok {
            Some(words) => words.iter().map(|word| word.0.to_lowercase()).collect(),
            None => OK.map(str::to_owned).to_vec(),
        },
    }
}
