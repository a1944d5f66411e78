//! An envelope as an AMQP message, with CloudEvents attributes: ADR 0005.

use bus_core::ports::broker::Incoming;
use bus_core::vocabulary::{ContentHash, Envelope, Key, MessageId, Moment, Operation, Seq, StreamName};
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 leaves unencoded in a path segment, because `source` is a URI reference.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// AMQP's "persistent".
const DURABLE: u8 = 2;

const CONTENT_TYPE: &str = "application/json";
const SPEC_VERSION: &str = "cloudEvents:specversion";
const ID: &str = "cloudEvents:id";
const SOURCE: &str = "cloudEvents:source";
const TYPE: &str = "cloudEvents:type";
const SUBJECT: &str = "cloudEvents:subject";
const TIME: &str = "cloudEvents:time";
const STREAM: &str = "bus-stream";
const EPOCH: &str = "bus-epoch";
const SEQ: &str = "bus-seq";
const GENERATION: &str = "bus-generation";
const HASH: &str = "bus-hash";
const LABEL: &str = "bus-label";

/// Everything but the body. `bus` is the bus's name, for `source`.
pub(crate) fn properties(envelope: &Envelope, bus: &str) -> BasicProperties {
    let id = envelope.id.to_string();
    let stream = envelope.stream.as_str();
    let source = format!("bus/{}/{}", utf8_percent_encode(bus, SEGMENT), utf8_percent_encode(stream, SEGMENT));
    let mut headers = FieldTable::default();
    let mut text = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text(SPEC_VERSION, "1.0");
    text(ID, &id);
    text(SOURCE, &source);
    text(TYPE, &format!("{stream}.{}", envelope.operation.as_str()));
    text(SUBJECT, envelope.key.as_str());
    text(TIME, &envelope.time.to_string());
    text(STREAM, stream);
    text(HASH, &hex::encode(envelope.hash.as_bytes()));
    if let Some(label) = &envelope.label {
        text(LABEL, label);
    }
    // AMQP knows no unsigned 64-bit number that RabbitMQ takes; the bits are the same.
    let mut number = |name: &str, value: u64| {
        headers.insert(name.into(), AMQPValue::LongLongInt(value.cast_signed()));
    };
    number(EPOCH, envelope.seq.epoch);
    number(SEQ, envelope.seq.number);
    number(GENERATION, envelope.generation);
    BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(DURABLE)
        .with_message_id(id.as_str().into())
        .with_timestamp(u64::try_from(envelope.time.0.div_euclid(1000)).unwrap_or(0))
        .with_headers(headers)
}

/// What came out of a queue: ours, or foreign with the first thing that is missing or broken.
pub(crate) fn read(properties: &BasicProperties, body: Vec<u8>) -> Incoming {
    let body = Bytes::from(body);
    match envelope(properties, body.clone()) {
        Ok(envelope) => Incoming::Sealed(envelope),
        Err(reason) => Incoming::Foreign { raw: body, reason },
    }
}

fn envelope(properties: &BasicProperties, body: Bytes) -> Result<Envelope, String> {
    let headers = Headers(properties.headers().as_ref().ok_or("it has no headers, so the bus did not publish it")?);
    let broken = |name: &str| format!("its header {name} is not what the bus writes");
    let stream = StreamName::new(headers.text(STREAM)?).map_err(|_| broken(STREAM))?;
    let operation = match headers.text(TYPE)?.strip_prefix(stream.as_str()) {
        Some(".upsert") => Operation::Upsert,
        Some(".delete") => Operation::Delete,
        _ => return Err(broken(TYPE)),
    };
    let time = chrono::DateTime::parse_from_rfc3339(headers.text(TIME)?).map_err(|_| broken(TIME))?;
    let mut hash = [0; 32];
    hex::decode_to_slice(headers.text(HASH)?, &mut hash).map_err(|_| broken(HASH))?;
    Ok(Envelope {
        id: MessageId::parse(headers.text(ID)?).ok_or_else(|| broken(ID))?,
        key: Key::from_stored(headers.text(SUBJECT)?),
        seq: Seq { epoch: headers.number(EPOCH)?, number: headers.number(SEQ)? },
        generation: headers.number(GENERATION)?,
        operation,
        time: Moment(time.timestamp_millis()),
        label: headers.0.inner().contains_key(LABEL).then(|| headers.text(LABEL)).transpose()?.map(str::to_owned),
        hash: ContentHash::from_bytes(hash),
        stream,
        body,
    })
}

struct Headers<'a>(&'a FieldTable);

impl<'a> Headers<'a> {
    fn text(&self, name: &str) -> Result<&'a str, String> {
        match self.0.inner().get(name) {
            Some(AMQPValue::LongString(text)) => {
                std::str::from_utf8(text.as_bytes()).map_err(|_| format!("its header {name} is not UTF-8"))
            }
            Some(_) => Err(format!("its header {name} is not a text")),
            None => Err(format!("it has no header {name}, so the bus did not publish it")),
        }
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        match self.0.inner().get(name) {
            Some(AMQPValue::LongLongInt(number)) => Ok(number.cast_unsigned()),
            Some(_) => Err(format!("its header {name} is not a 64-bit number")),
            None => Err(format!("it has no header {name}, so the bus did not publish it")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Envelope {
        let (stream, key) = (StreamName::new("заказы.опт").unwrap(), Key::from_stored("УТ-000123"));
        let body = Bytes::from_static("{\"Сумма\":12345678901234567.89}".as_bytes());
        let hash = ContentHash::of(Operation::Delete, &body);
        Envelope {
            id: MessageId::derive(&stream, &key, 2, &hash),
            stream,
            key,
            seq: Seq { epoch: 3, number: 17 },
            generation: 2,
            operation: Operation::Delete,
            time: Moment(1_763_800_000_123),
            label: Some("Заказ УТ-000123".into()),
            hash,
            body,
        }
    }

    fn text(properties: &BasicProperties, name: &str) -> String {
        match properties.headers().as_ref().unwrap().inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn subscribers_see_cloudevents() {
        let properties = properties(&sample(), "шина");
        for (name, value) in [
            (SPEC_VERSION, "1.0"),
            (SOURCE, "bus/%D1%88%D0%B8%D0%BD%D0%B0/%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7%D1%8B.%D0%BE%D0%BF%D1%82"),
            (TYPE, "заказы.опт.delete"),
            (SUBJECT, "УТ-000123"),
            (TIME, "2025-11-22T08:26:40.123Z"),
        ] {
            assert_eq!(text(&properties, name), value);
        }
        assert_eq!(text(&properties, ID), sample().id.to_string());
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), sample().id.to_string());
        assert_eq!(*properties.delivery_mode(), Some(DURABLE));
        assert_eq!(*properties.timestamp(), Some(1_763_800_000));
    }

    #[test]
    fn without_any_one_header_it_is_foreign_and_the_reason_names_it() {
        let whole = properties(&sample(), "bus");
        for name in [ID, TYPE, SUBJECT, TIME, STREAM, HASH, EPOCH, SEQ, GENERATION] {
            let mut headers = FieldTable::default();
            for (kept, value) in whole.headers().as_ref().unwrap().inner() {
                if kept.as_str() != name {
                    headers.insert(kept.clone(), value.clone());
                }
            }
            match read(&whole.clone().with_headers(headers), b"body".to_vec()) {
                Incoming::Foreign { raw, reason } => {
                    assert_eq!(raw.as_ref(), b"body");
                    assert!(reason.contains(name), "{name}: {reason}");
                }
                Incoming::Sealed(_) => panic!("sealed without {name}"),
            }
        }
        assert!(matches!(read(&BasicProperties::default(), Vec::new()), Incoming::Foreign { .. }));
    }

    proptest! {
        #[test]
        fn every_envelope_comes_back(
            key in "\\PC{1,40}", label in proptest::option::of("\\PC{0,40}"), stream in "[а-яa-z.]{1,20}",
            epoch: u64, number: u64, generation: u64, delete: bool, time in 0..253_402_300_799_999_i64, body: Vec<u8>,
        ) {
            let envelope = Envelope {
                stream: StreamName::new(&stream).unwrap(),
                key: Key::from_stored(&key),
                seq: Seq { epoch, number },
                generation,
                operation: if delete { Operation::Delete } else { Operation::Upsert },
                time: Moment(time),
                label,
                body: body.clone().into(),
                ..sample()
            };
            prop_assert_eq!(read(&properties(&envelope, "bus"), body), Incoming::Sealed(envelope));
        }
    }
}
