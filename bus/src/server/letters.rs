//! A dead letter as JSON, and back.

use bus_core::policy::{fingerprint, pattern};
use bus_core::ports::state::{DeadLetter, DeadRow};
use bus_core::vocabulary::{
    ContentHash, Envelope, Exchange, Key, MessageId, Moment, Operation, RouteName, Seq, StreamName,
};
use bytes::Bytes;
use serde_json::{Value, json};

/// One line of a list: no body.
pub fn summary(row: &DeadRow) -> Value {
    let envelope = row.letter.envelope.as_ref();
    json!({
        "id": row.id,
        "route": row.route,
        "stream": row.stream,
        "key": row.key.as_ref().map(Key::as_str),
        "label": row.label,
        "seq": envelope.map(|e| e.seq.to_string()),
        "operation": envelope.map(|e| e.operation.as_str()),
        "fault": row.letter.fault,
        "message": row.letter.message,
        "attempts": row.letter.attempts,
        "replays": row.history.replays,
        "edits": row.history.edits,
        "group": group(row),
        "at": row.letter.at.to_string(),
    })
}

/// Everything about one.
pub fn whole(row: &DeadRow) -> Value {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut value = summary(row);
    value["message_id"] = json!(row.letter.envelope.as_ref().map(|e| e.id.to_string()));
    value["record"] = json!(row.letter.envelope.as_ref().map(|e| text(&e.body)));
    value["raw"] = json!(row.letter.raw.as_ref().map(text));
    value["transformed"] = json!(row.letter.transformed.as_ref().map(text));
    value["request"] = json!(row.letter.exchange.request);
    value["answer"] = json!(row.letter.exchange.answer);
    value["editor"] = json!(row.history.editor);
    value["original_record"] = json!(row.history.original_record.as_ref().map(text));
    value["original_transformed"] = json!(row.history.original_body.as_ref().map(text));
    if let Some(envelope) = &row.letter.envelope {
        value["generation"] = json!(envelope.generation);
        value["time"] = json!(envelope.time.to_string());
    }
    value
}

fn group(row: &DeadRow) -> String {
    let pattern = pattern(&row.letter.message, row.key.as_ref().map(Key::as_str), row.label.as_deref());
    fingerprint(row.route.as_ref().map_or("", RouteName::as_str), &row.letter.fault, &pattern)
}

/// Reads a line that an export wrote, which is what [`whole`] gives.
pub fn exported(value: &Value) -> Result<(RouteName, DeadLetter), String> {
    let text = |name: &str| value[name].as_str().ok_or_else(|| format!("{name} is missing"));
    let optional = |name: &str| value[name].as_str().map(str::to_owned);
    if value["masked"] == true {
        return Err("it was exported with masks, so it is no longer what has to be sent".to_owned());
    }
    let record = Bytes::from(text("record")?.to_owned());
    let operation = match text("operation")? {
        "upsert" => Operation::Upsert,
        "delete" => Operation::Delete,
        other => return Err(format!("operation {other} is unknown")),
    };
    let (epoch, number) = text("seq")?.split_once('.').ok_or("seq is not EPOCH.NUMBER")?;
    let count = |text: &str| text.parse::<u64>().map_err(|_| "seq is not EPOCH.NUMBER".to_owned());
    let envelope = Envelope {
        id: MessageId::parse(text("message_id")?).ok_or("message_id is unreadable")?,
        stream: StreamName::new(text("stream")?).map_err(|error| error.to_string())?,
        key: Key::from_stored(text("key")?),
        seq: Seq { epoch: count(epoch)?, number: count(number)? },
        generation: value["generation"].as_u64().ok_or("generation is missing")?,
        operation,
        time: moment(text("time")?)?,
        label: optional("label"),
        hash: ContentHash::of(operation, &record),
        body: record,
    };
    let letter = DeadLetter {
        envelope: Some(envelope),
        raw: None,
        transformed: optional("transformed").map(Bytes::from),
        exchange: Exchange { request: optional("request"), answer: optional("answer") },
        fault: text("fault")?.to_owned(),
        message: text("message")?.to_owned(),
        attempts: u32::try_from(value["attempts"].as_u64().unwrap_or(0)).unwrap_or(0),
        at: moment(text("at")?)?,
    };
    Ok((RouteName::new(text("route")?).map_err(|error| error.to_string())?, letter))
}

fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| format!("{text} is not a time"))
}
