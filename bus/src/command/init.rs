//! `bus init --from-1c URL`: what a base publishes, and streams of what was chosen, ready to run.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bus_config::onec::russian_name;
use bus_connectors::odata::{BaseOptions, Catalogue, Published};
use bus_core::vocabulary::{Secret, StreamName};
use serde_json::json;

use super::EX_UNAVAILABLE;
use crate::cli;

/// The longest silence: `$metadata` of a large base is half a minute's work.
const SILENCE: Duration = Duration::from_secs(180);
/// Sets that are counted: each is a request, and some take 1C seconds.
const COUNTED: usize = 200;

pub async fn init(args: cli::Init) -> anyhow::Result<ExitCode> {
    if args.from_1c.password().is_some() {
        anyhow::bail!(
            "a password does not belong into an address: say --user NAME, and put it into {}",
            args.password_env
        );
    }
    let password = std::env::var(&args.password_env).ok().map(Secret::new);
    let login = match (&args.user, password) {
        (Some(user), Some(password)) => Some((user.clone(), password)),
        (Some(_), None) => {
            anyhow::bail!("the password of {}: {} is not set in the environment", args.from_1c, args.password_env)
        }
        (None, _) => None,
    };
    let options = BaseOptions { login, sessions: 1, ..BaseOptions::at(args.from_1c.clone(), SILENCE) };
    let catalogue = match Catalogue::read(&options).await {
        Ok(catalogue) => catalogue,
        Err(error) => {
            eprintln!("bus: {error}");
            return Ok(ExitCode::from(EX_UNAVAILABLE));
        }
    };
    let wanted = |object: &Published| {
        let names = [Some(object.set.clone()), russian_name(&object.set)];
        args.only.is_empty() || args.only.iter().any(|only| names.iter().flatten().any(|name| fits(only, name)))
    };
    let mut objects: Vec<Published> = catalogue.objects().into_iter().filter(wanted).collect();
    if objects.is_empty() {
        let why = match args.only.is_empty() {
            true => "the base publishes nothing: put objects into the composition of the OData interface",
            false => "nothing that the base publishes fits --only; without it everything is listed",
        };
        eprintln!("bus: {why}");
        return Ok(ExitCode::from(EX_UNAVAILABLE));
    }
    if args.count {
        for object in objects.iter_mut().take(COUNTED) {
            object.count = catalogue.count(&object.set).await;
        }
    }
    if args.json {
        println!("{}", serde_json::Value::from_iter(objects.iter().map(as_json)));
    } else if args.only.is_empty() {
        list(&objects);
    } else {
        write(&args, &toml(&args, &objects))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// To a new file, or to the terminal.
fn write(args: &cli::Init, text: &str) -> anyhow::Result<()> {
    let Some(file) = &args.out else {
        print!("{text}");
        return Ok(());
    };
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let mut opened =
        opened.with_context(|| format!("{} is not written: nothing is ever overwritten", file.display()))?;
    opened.write_all(text.as_bytes()).with_context(|| file.display().to_string())?;
    eprintln!("{} is written; look at it with: bus check {}", file.display(), file.display());
    Ok(())
}

/// `*` stands for anything; letters are compared without their case.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn as_json(object: &Published) -> serde_json::Value {
    json!({
        "set": object.set,
        "name": russian_name(&object.set),
        "key": object.key,
        "label": object.label,
        "tables": object.tables,
        "count": object.count,
    })
}

/// By kinds, as 1C's people call them.
fn list(objects: &[Published]) {
    let mut kind = "";
    for object in objects {
        let its_kind = object.set.split('_').next().unwrap_or_default();
        if its_kind != kind {
            println!("{}{its_kind}", if kind.is_empty() { "" } else { "\n" });
            kind = its_kind;
        }
        let name = russian_name(&object.set).unwrap_or_default();
        let count = object.count.map(|count| format!("  {count} records")).unwrap_or_default();
        let tables = match object.tables.is_empty() {
            true => String::new(),
            false => format!("  with {}", object.tables.join(", ")),
        };
        println!("  {}  {name}{count}{tables}", object.set);
    }
    println!(
        "\n{} objects; write streams of some with --only 'Справочник.Номенклатура' --only 'Document_*'",
        objects.len()
    );
}

/// A configuration that can be checked and run.
fn toml(args: &cli::Init, objects: &[Published]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Written by bus init from {}\n# Look through schedules: they are what the base has to bear. An exchange plan finds changes sooner, and deletions;\n# docs/1c-odata.md says how.\n\n[systems.{}]\nkind     = \"1c-odata\"\nurl      = {}",
        args.from_1c,
        quoted(args.system.as_str()),
        quoted(args.from_1c.as_str())
    );
    if let Some(user) = &args.user {
        let _ = writeln!(text, "user     = {}\npassword = {{ env = {} }}", quoted(user), quoted(&args.password_env));
    }
    let _ = writeln!(
        text,
        "# timezone = \"Europe/Moscow\"   # the base's clock; without it, that of the bus\nsessions = 3"
    );
    let mut names = Vec::new();
    for object in objects {
        let name = stream_name(object, &names);
        stream(&mut text, args, object, &name);
        names.push(name);
    }
    let _ = writeln!(
        text,
        "\n# Somebody has to take each stream. These can be read with `bus pull NAME`; write routes instead, and remove them."
    );
    for name in &names {
        let _ = writeln!(
            text,
            "[subscriptions.{0}]\nstream = {1}\nvia    = \"http\"\nkey    = {{ env = \"PULL_KEY\" }}",
            quoted(&format!("{name}-all")),
            quoted(name)
        );
    }
    text
}

fn stream(text: &mut String, args: &cli::Init, object: &Published, name: &str) {
    let key = match &object.key[..] {
        [one] => quoted(one),
        several => format!("[{}]", several.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", ")),
    };
    let russian = russian_name(&object.set).unwrap_or_default();
    let count = object.count.map(|count| format!(", {count} records")).unwrap_or_default();
    let _ = writeln!(
        text,
        "\n[streams.{}]   # {russian}{count}\nfrom     = {}\nentity   = {}\nkey      = {key}",
        quoted(name),
        quoted(args.system.as_str()),
        quoted(&object.set)
    );
    if let Some(label) = &object.label {
        let _ = writeln!(text, "label    = {}", quoted(label));
    }
    let how = match &object.date {
        Some(date) => format!(
            "schedule = \"5m\"\nchanges  = {{ cursor = {}, overlap = \"1d\", recheck = \"Sun 04:00\" }}",
            quoted(date)
        ),
        None => "schedule = \"1h\"\nchanges  = \"diff\"".to_owned(),
    };
    let _ = writeln!(text, "{how}");
    for table in &object.tables {
        let _ = writeln!(
            text,
            "# entity = {}   # computed as a whole, for seconds",
            quoted(&format!("{}/{table}", object.set))
        );
    }
}

/// The object's own name, or the interface's where two kinds share it, or a name could not have it.
fn stream_name(object: &Published, taken: &[String]) -> String {
    let own = object.set.split_once('_').map_or(object.set.as_str(), |(_, own)| own);
    let free = |name: &&str| !taken.iter().any(|taken| taken == name) && StreamName::new(name).is_ok();
    [own, &object.set]
        .iter()
        .find(|name| free(name))
        .map_or_else(|| format!("stream-{}", taken.len() + 1), |name| (*name).to_owned())
}

/// As TOML writes a text.
fn quoted(text: &str) -> String {
    // JSON's escapes are a part of TOML's.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_of_both_forms() {
        for (pattern, name, expected) in [
            ("Справочник.*", "Справочник.Номенклатура", true),
            ("справочник.номенклатура", "Справочник.Номенклатура", true),
            ("Document_*Клиента", "Document_ЗаказКлиента", true),
            ("*заказ*", "Document_ЗаказКлиента", true),
            ("Document_", "Document_ЗаказКлиента", false),
            ("*_*_*", "Document_ЗаказКлиента", false),
            ("ЗаказКлиента", "Document_ЗаказКлиента", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern}");
        }
    }

    #[test]
    fn two_objects_of_one_name_are_two_streams() {
        let object = |set: &str| Published { set: set.to_owned(), ..Published::default() };
        assert_eq!(stream_name(&object("Catalog_Склады"), &[]), "Склады");
        assert_eq!(stream_name(&object("Document_Склады"), &["Склады".to_owned()]), "Document_Склады");
    }
}
