//! `[bus]`, and what is taken for it where it is not written.

use bus_options::{FileId, Located, Node, OptionValue, Report, SecretOr, codes};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::landscape::{Broker, Bus};
use crate::language::bus as language;

pub fn resolve(written: Option<Located<language::Bus>>, report: &mut Report) -> Option<Bus> {
    let bus = match written {
        Some(bus) => bus.value,
        None => defaults()?,
    };
    let listen = bus.listen.value.0;
    if !listen.ip().is_loopback() && bus.key.is_none() {
        let hint = "add key = { env = \"BUS_KEY\" }, or listen on 127.0.0.1";
        let message = format!("others can reach {listen}, and there is no key");
        report.add_with_hint(codes::OPEN_WITHOUT_KEY, &bus.listen.span, message, hint);
    }
    let broker = match bus.broker.value {
        SecretOr::Literal(language::Broker::Embedded) => {
            if let Some(ca) = &bus.broker_ca {
                let hint = "remove `broker_ca`, or name a broker: broker = \"amqps://…\"";
                report.add_with_hint(codes::CONTRADICTION, &ca.span, "the embedded broker needs no certificate", hint);
            }
            Broker::Embedded
        }
        SecretOr::Literal(language::Broker::Amqp(url)) => {
            Broker::Amqp { url: SecretOr::Literal(url), ca: bus.broker_ca.map(|ca| ca.value) }
        }
        SecretOr::Secret(secret) => {
            Broker::Amqp { url: SecretOr::Secret(secret), ca: bus.broker_ca.map(|ca| ca.value) }
        }
    };
    Some(Bus {
        name: bus.name.0,
        timezone: bus.timezone.0,
        broker,
        state: bus.state,
        listen,
        key: bus.key,
        hold: bus.hold.0,
        log: bus.log,
        journal: crate::landscape::JournalKeep { age: bus.journal.value.age, bytes: bus.journal.value.bytes.0 },
    })
}

/// What an empty `[bus]` means.
fn defaults() -> Option<language::Bus> {
    let empty = Spanned::new(0..0, DeValue::Table(DeTable::new()));
    // Defaults have no mistakes, so nothing ever points into this file.
    language::Bus::read(Node::new(&empty, "", FileId::NONE), &mut Report::default())
}
