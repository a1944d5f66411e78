//! Systems: paces by rate or by profile, and who gets in how.

use bus_core::policy::Profile;
use bus_core::policy::select::Dialect;
use bus_core::vocabulary::SystemName;
use bus_options::{Definitions, Filled, Located, OneOrMany, Report, SecretOr, SecretRef, codes};
use chrono_tz::Tz;
use url::Url;

use crate::landscape::{HttpSystem, Limits, OdataSystem, System, SystemKind, Takes};
use crate::language::odata::ObjectName;
use crate::language::profile::{self, Pace, ProfileName};
use crate::language::system as language;

type Profiles = Definitions<ProfileName, profile::Profile>;

/// The system of this name, if one is there.
pub fn system<'a>(
    systems: &'a Definitions<SystemName, language::System>,
    name: &SystemName,
) -> Option<&'a language::System> {
    systems.0.iter().find(|entry| entry.key.value == *name).map(|entry| &entry.value)
}

/// Which quoting rules a system's database has; `None`: it is no database, or its address stands in a secret.
pub fn dialect(systems: &Definitions<SystemName, language::System>, name: &SystemName) -> Option<Dialect> {
    match system(systems, name)? {
        language::System::Sql(sql) => match &sql.url {
            SecretOr::Literal(url) => Dialect::of_url(url.0.as_str()),
            SecretOr::Secret(_) => None,
        },
        _ => None,
    }
}

pub fn resolve(
    written: &Definitions<SystemName, language::System>,
    profiles: &Profiles,
    zone: Tz,
    report: &mut Report,
) -> Vec<System> {
    let resolve = |entry: &bus_options::Entry<SystemName, language::System>| {
        let name = entry.key.value.clone();
        match &entry.value {
            language::System::Sql(sql) => {
                let url = map(&sql.url, |url| url.0.clone());
                let reads = reads(&sql.reads, profiles, zone);
                System { name, ca: sql.ca.clone(), kind: SystemKind::Sql { url, reads } }
            }
            language::System::Odata(odata) => {
                let (constant, witness) = signs(odata.identity.as_ref(), report);
                let kind = SystemKind::Odata(OdataSystem {
                    url: map(&odata.url, |url| url.0.clone()),
                    login: login(odata.user.as_ref(), odata.password.as_ref(), report),
                    zone: odata.timezone.map_or(zone, |zone| zone.0),
                    reads: reads(&odata.reads, profiles, zone),
                    takes: takes(&odata.capacity, profiles, zone),
                    sessions: odata.sessions.get() as usize,
                    timeout: odata.timeout.0,
                    constant,
                    witness,
                });
                System { name, ca: odata.ca.clone(), kind }
            }
            language::System::Http(http) => {
                let kind = SystemKind::Http(self::http(http, profiles, zone, report));
                System { name, ca: http.ca.clone(), kind }
            }
        }
    };
    written.0.iter().map(resolve).collect()
}

/// What tells a base from another: at most one constant, and one kind of document.
fn signs(identity: Option<&Located<OneOrMany<ObjectName>>>, report: &mut Report) -> (Option<String>, Option<String>) {
    let (mut constant, mut witness) = (None, None);
    let Some(identity) = identity else { return (constant, witness) };
    for ObjectName(name) in &identity.value.0 {
        let place = match name.split_once('_').filter(|(_, object)| !object.contains('/')) {
            Some(("Constant", _)) => &mut constant,
            Some(("Document", _)) => &mut witness,
            _ => {
                let message = format!("`{name}` is neither a constant nor a document");
                let hint =
                    "say identity = [\"Константа.ИдентификаторБазы\", \"Документ.ЗаказКлиента\"], or one of both";
                report.add_with_hint(codes::NO_SIGN_OF_A_BASE, &identity.span, message, hint);
                continue;
            }
        };
        if place.replace(name.clone()).is_some() {
            let message = format!("`{name}` is the second of its kind");
            report.add_with_hint(
                codes::NO_SIGN_OF_A_BASE,
                &identity.span,
                message,
                "keep one constant and one document",
            );
        }
    }
    (constant, witness)
}

/// A user and a password, which come together or not at all.
pub fn login(
    user: Option<&Located<Filled>>,
    password: Option<&Located<SecretRef>>,
    report: &mut Report,
) -> Option<(String, SecretRef)> {
    match (user, password) {
        (Some(user), Some(password)) => Some((user.value.0.clone(), password.value.clone())),
        (Some(user), None) => {
            let hint = "add password = { env = \"NAME\" }";
            report.add_with_hint(codes::CONTRADICTION, &user.span, "a user without a password", hint);
            None
        }
        (None, Some(password)) => {
            let hint = "add user = \"NAME\"";
            report.add_with_hint(codes::CONTRADICTION, &password.span, "a password without a user", hint);
            None
        }
        (None, None) => None,
    }
}

fn http(http: &language::HttpSystem, profiles: &Profiles, zone: Tz, report: &mut Report) -> HttpSystem {
    HttpSystem {
        url: map(&http.url, |url| url.0.clone()),
        headers: http.headers.0.clone(),
        basic: login(http.user.as_ref(), http.password.as_ref(), report),
        takes: takes(&http.capacity, profiles, zone),
        timeout: http.timeout.0,
    }
}

fn takes(capacity: &language::Capacity, profiles: &Profiles, zone: Tz) -> Takes {
    let operations = capacity.operations.0.iter();
    let operations =
        operations.filter_map(|entry| Some((entry.key.value.clone(), pace(Some(&entry.value), profiles, zone)?)));
    Takes {
        capacity: Limits {
            pace: pace(capacity.rate.as_ref(), profiles, zone),
            concurrency: capacity.concurrency.get() as usize,
        },
        operations: operations.collect(),
        margin: capacity.margin.share(),
        adaptive: capacity.adaptive,
    }
}

fn map<T>(value: &SecretOr<T>, literal: impl Fn(&T) -> Url) -> SecretOr<Url> {
    match value {
        SecretOr::Literal(value) => SecretOr::Literal(literal(value)),
        SecretOr::Secret(secret) => SecretOr::Secret(secret.clone()),
    }
}

fn reads(reads: &language::Reads, profiles: &Profiles, zone: Tz) -> Limits {
    Limits { pace: pace(reads.rate.as_ref(), profiles, zone), concurrency: reads.concurrency.get() as usize }
}

/// A profile that is not there is reported where names are checked.
fn pace(pace: Option<&Pace>, profiles: &Profiles, zone: Tz) -> Option<Profile> {
    match pace? {
        Pace::Rate(rate) => Some(Profile::always(*rate)),
        Pace::Profile(name) => {
            let profile = profiles.0.iter().find(|entry| entry.key.value == *name.name())?;
            // Read only when its windows cover the week.
            Profile::new(&profile.value.0, zone).ok()
        }
    }
}
