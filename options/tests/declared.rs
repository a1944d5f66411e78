//! A declared table: what it reads, what it reports, what it says about itself.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use bus_core::policy::Rate;
use bus_core::vocabulary::{StreamName, SystemName};
use bus_options::{
    Colour, Declared, Definitions, Node, OptionValue, Ref, Report, SecretRef, Sources, Whole, choices, markdown,
    options, tagged, to_text,
};
use toml::de::DeValue;

choices! {
    /// How loud.
    pub enum Voice { Loud = "loud", Low = "low" } planned ["mute"]
}

options! {
    /// How to try again.
    pub struct Retry("retry") {
        /// How often at most.
        attempts: Whole<1, 9> = 8;
        /// The first wait.
        first: Duration = "1s";
    }
}

options! {
    /// A receiver.
    pub struct Receiver("[receivers.NAME]") {
        /// Where to.
        to: Ref<SystemName>, required;
        /// How much.
        rate: Rate, optional;
        /// How to try again.
        retry: Retry = {};
        /// The key.
        secret as "key": SecretRef, required;
        /// How loud.
        voice: Voice = "low";
    } planned ["batch"]
}

options! {
    /// Nothing to say.
    pub struct Quiet("[kinds.NAME] quiet") {}
}

tagged! {
    /// Two kinds.
    pub enum Kind by "kind" { Receiver(Receiver) = "receiver", Quiet(Quiet) = "quiet" } planned ["soap"]
}

fn read<T: OptionValue>(text: &str) -> (Option<T>, String) {
    let mut sources = Sources::default();
    let file = sources.add("a.toml", text);
    let (table, errors) = toml::de::DeTable::parse_recoverable(text);
    assert!(errors.is_empty(), "{errors:?}");
    let span = table.span();
    let root = toml::Spanned::new(span, DeValue::Table(table.into_inner()));
    let mut report = Report::default();
    let value = T::read(Node::new(&root, text, file), &mut report);
    report.check_names(&sources);
    (value, to_text(&report.into_diagnostics(&sources), Colour::Off))
}

#[test]
fn defaults_and_values_are_read() {
    let (value, text) = read::<Receiver>("to = 'shop'\nrate = '5/s'\nretry.first = '2s'\nkey = { env = 'KEY' }");
    let value = value.unwrap();
    assert_eq!(value.retry.first, Duration::from_secs(2));
    assert_eq!((value.retry.attempts.get(), value.voice), (8, Voice::Low));
    assert_eq!((value.rate.map(|r| r.events()), value.secret), (Some(5), SecretRef::Env("KEY".into())));
    assert!(text.contains("no system is called `shop`"), "{text}");
}

#[test]
fn all_mistakes_are_found_in_one_reading() {
    let (value, text) =
        read::<Receiver>("rate = '5'\nretry = { attempts = 10, frist = '1s' }\nkey = 'x'\nvoice = 'lowd'\nbatch = 1");
    assert!(value.is_none());
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).collect();
    let expected = [
        "error[BUS-C004]: `to` is required",
        "error[BUS-C006]: \"5\" is not a rate",
        "error[BUS-C006]: 10 is out of range",
        "error[BUS-C003]: unknown key `frist`",
        "error[BUS-C008]: a secret must not stand in the file",
        "error[BUS-C006]: `lowd` is not one of the choices",
        "error[BUS-C007]: `batch` is not supported yet",
    ];
    assert_eq!(heads, expected, "{text}");
    assert!(text.contains("did you mean `first`?"), "{text}");
}

#[test]
fn names_are_checked_over_all_tables() {
    let (_, text) = read::<Definitions<StreamName, Kind>>(
        "[orders]\nkind = 'quiet'\n['a b']\nkind = 'quiet'\n[x]\nkind = 'soap'\n[y]\nkind = 'quite'\n[z]\n",
    );
    for part in [
        "a.toml:3:2\n",
        "not a stream name: a name may hold letters",
        "`soap` is not supported yet",
        "did you mean \"quiet\"?",
        " --> a.toml:9:2\n  |\n9 | [z]\n  |  ^\n  = hint: add `kind = …`",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn schema_and_reference_come_from_the_declaration() {
    let schema = Receiver::schema();
    assert_eq!(schema["required"], serde_json::json!(["to", "key"]));
    assert_eq!(schema["properties"]["retry"]["properties"]["first"]["default"], "1s");
    assert_eq!(Kind::schema()["oneOf"][1]["properties"]["kind"]["const"], "quiet");
    let mut tables = Vec::new();
    Receiver::tables(&mut tables);
    let text = markdown(&tables);
    assert!(text.contains("## `[receivers.NAME]`\n\nA receiver.\n"), "{text}");
    assert!(
        text.contains("| `key` | secret: `{ env = \"NAME\" }` or `{ file = \"PATH\" }` | **required** | The key. |"),
        "{text}"
    );
    assert!(text.contains("| `first` | duration"), "{text}");
    assert_eq!(Receiver::declaration().rows.len(), 5);
}
