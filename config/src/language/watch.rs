//! What an operator expects, who is told when it is otherwise, and when nobody is: `expect`, `[notify.NAME]`,
//! `[maintenance.NAME]`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bus_core::policy::{Days, Hours, TimeOfDay};
use bus_core::vocabulary::{NameError, StreamName, SystemName};
use bus_options::{
    EntityName, Filled, Located, Node, OneOrMany, OptionValue, Ref, Report, Seconds, SecretOr, SecretRef, choices,
    options, tagged,
};
use serde_json::{Value, json};
use url::Url;

use super::address::{self, HttpUrl};
use super::header::Headers;

options! {
    /// How often a stream changes at least, in the time zone of the bus: silence for longer is an incident.
    pub struct Expect("expect") {
        /// A change comes at least so often,
        within: Duration, required;
        /// in these hours,
        hours: Hours = "00:00-24:00";
        /// that begin on these days.
        days: Days = "Mon-Sun";
    }
}

/// A time of day as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyBy(pub TimeOfDay);

impl OptionValue for EmptyBy {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        match node.text("a time of day such as \"06:00\"", report)?.parse() {
            Ok(time) => Some(Self(time)),
            Err(_) => {
                let message = format!("{} is not a time of day", node.raw());
                node.bad_value(message, "write two digits each: \"06:00\"", report);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "time of day such as `\"06:00\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*[0-9]{2}:[0-9]{2}\\s*$"})
    }
}

macro_rules! name {
    ($name:ident, $kind:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl EntityName for $name {
            const KIND: &'static str = $kind;
            fn parse(text: &str) -> Result<Self, NameError> {
                // The same rules as for every other name.
                StreamName::new(text).map(|name| Self(name.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(ChannelName, "notify", "Name of a channel.");
name!(MaintenanceName, "maintenance", "Name of a maintenance window.");

choices! {
    /// How much it hurts.
    pub enum Level {
        /// Everything that needs a person.
        Warning = "warning",
        /// Only what needs one now.
        Critical = "critical",
    }
}

tagged! {
    /// Who is told of incidents, and how.
    pub enum Notify by "kind" {
        /// A request to an HTTP address.
        Webhook(Webhook) = "webhook",
        /// A message in a Telegram chat.
        Telegram(Telegram) = "telegram",
        /// A mail.
        Email(Email) = "email",
    }
}

options! {
    /// What a channel is told, and when.
    pub struct Tell("tell") {
        /// Incidents that open within this time of each other are one message; what is over by then is none.
        wait: Seconds<0, 3600> = "10s";
        /// What stays open is told again after this time.
        repeat: Seconds<60, 604800> = "4h";
        /// What is told at all.
        level: Level = "warning";
        /// In these hours, by the clock of the bus, warnings wait.
        quiet: Hours, optional;
        /// Whether the end of an incident is told.
        resolved: bool = true;
    }
}

options! {
    /// A `POST` with a JSON object: `text` for people, `incidents` for machines.
    pub struct Webhook("[notify.NAME] kind = \"webhook\"") {
        /// Where to. An address with a token in it is a secret as a whole.
        url: SecretOr<HttpUrl>, required;
        /// Sent with every request. Keys and tokens only as `{ env = … }` or `{ file = … }`.
        headers: Headers = {};
        /// What is told, and when.
        tell: Tell = {};
    }
}

options! {
    /// A message of a bot in a Telegram chat.
    pub struct Telegram("[notify.NAME] kind = \"telegram\"") {
        /// The bot's token.
        token: SecretRef, required;
        /// The number of the chat (negative for a group), or `@channel`.
        chat: Filled, required;
        /// Another server with Telegram's Bot API.
        url: HttpUrl = "https://api.telegram.org";
        /// What is told, and when.
        tell: Tell = {};
    }
}

options! {
    /// A mail by SMTP.
    pub struct Email("[notify.NAME] kind = \"email\"") {
        /// The mail server. `smtps://host` is encrypted from the first byte (port 465), `smtp+starttls://host` after a
        /// greeting (port 587), `smtp://host` not at all (port 25).
        server: Located<SmtpUrl>, required;
        /// Certificate authority of the server (PEM), where it is not a public one.
        ca: std::path::PathBuf, optional;
        /// Who sends: `bus@shop.example`.
        from: Located<Filled>, required;
        /// Who reads.
        to: Located<OneOrMany<Filled>>, required;
        /// For signing in.
        user: Located<Filled>, optional;
        /// For signing in.
        password: Located<SecretRef>, optional;
        /// What is told, and when.
        tell: Tell = {};
    }
}

options! {
    /// Hours in which work at systems is planned: incidents are kept and shown, but nobody is told.
    pub struct Maintenance("[maintenance.NAME]") {
        /// The systems; without it, everything.
        systems: Vec<Ref<SystemName>>, optional;
        /// The hours, in the time zone of the bus,
        hours: Hours, required;
        /// that begin on these days.
        days: Days = "Mon-Sun";
    }
}

/// Address of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpUrl(pub Url);

impl OptionValue for SmtpUrl {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        address::read(node, &["smtps", "smtp+starttls", "smtp"], &[], report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "address: `smtps://…`, `smtp+starttls://…` or `smtp://…`, without a password".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^smtp(s|\\+starttls)?://"})
    }
}
