//! Who is told of incidents, when they are not, and what is expected of a stream.

use bus_core::policy::{Calendar, Expectation};
use bus_core::vocabulary::Severity;
use bus_options::{Definitions, Report, SecretOr, codes};
use chrono_tz::Tz;
use url::Url;

use super::system::login;
use crate::landscape::{Channel, PlannedMaintenance, Way};
use crate::language::watch::{ChannelName, Email, Expect, Level, Maintenance, MaintenanceName, Notify, Tell};

pub fn expectation(expect: &Expect, zone: Tz) -> Expectation {
    Expectation { within: expect.within, calendar: Calendar { days: expect.days, hours: expect.hours, zone } }
}

pub fn maintenance(written: Definitions<MaintenanceName, Maintenance>, zone: Tz) -> Vec<PlannedMaintenance> {
    let planned = |entry: bus_options::Entry<MaintenanceName, Maintenance>| PlannedMaintenance {
        name: entry.key.value.0,
        systems: entry.value.systems.map(|systems| systems.iter().map(|system| system.name().clone()).collect()),
        calendar: Calendar { days: entry.value.days, hours: entry.value.hours, zone },
    };
    written.0.into_iter().map(planned).collect()
}

pub fn channels(written: Definitions<ChannelName, Notify>, report: &mut Report) -> Vec<Channel> {
    written.0.into_iter().filter_map(|entry| channel(entry.key.value.0, entry.value, report)).collect()
}

fn channel(name: String, notify: Notify, report: &mut Report) -> Option<Channel> {
    let (way, tell) = match notify {
        Notify::Webhook(webhook) => {
            let url = match webhook.url {
                SecretOr::Literal(url) => SecretOr::Literal(url.0),
                SecretOr::Secret(secret) => SecretOr::Secret(secret),
            };
            (Way::Webhook { url, headers: webhook.headers.0 }, webhook.tell)
        }
        Notify::Telegram(telegram) => {
            let way = Way::Telegram { url: telegram.url.0, token: telegram.token, chat: telegram.chat.0 };
            (way, telegram.tell)
        }
        Notify::Email(email) => {
            let tell = email.tell.clone();
            (self::email(email, report)?, tell)
        }
    };
    let Tell { wait, repeat, level, quiet, resolved } = tell;
    let level = match level {
        Level::Warning => Severity::Warning,
        Level::Critical => Severity::Critical,
    };
    Some(Channel { name, way, wait: wait.0, repeat: repeat.0, level, quiet, resolved })
}

fn email(email: Email, report: &mut Report) -> Option<Way> {
    let login = login(email.user.as_ref(), email.password.as_ref(), report);
    if login.is_some() && open(&email.server.value.0) {
        let hint = "write smtps:// or smtp+starttls://, or remove `user` and `password`";
        let message = "the password would cross the network as it is";
        report.add_with_hint(codes::OPEN_PASSWORD, &email.server.span, message, hint);
    }
    let addresses = email.to.value.0.iter().map(|to| (&to.0, &email.to.span));
    for (address, span) in addresses.chain([(&email.from.value.0, &email.from.span)]) {
        if address.split_once('@').is_none_or(|(user, host)| user.is_empty() || host.is_empty()) {
            let message = format!("`{address}` is not a mail address");
            report.add_with_hint(codes::BAD_VALUE, span, message, "as in \"ops@shop.example\"");
        }
    }
    Some(Way::Email {
        server: email.server.value.0,
        ca: email.ca,
        from: email.from.value.0,
        to: email.to.value.0.into_iter().map(|to| to.0).collect(),
        login,
    })
}

/// Not encrypted, and another machine.
fn open(server: &Url) -> bool {
    let host = server.host_str().unwrap_or("");
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    server.scheme() == "smtp" && !local
}
