//! `[feeds]` and their streams.

use super::{GOOD, checked};

#[test]
fn a_feed_and_its_streams_fit_together() {
    let feed = |feed: &str, rest: &str| {
        let feeds = format!("[feeds.changes]\nentity_column = \"kind\"\n{feed}\n{rest}\n[routes.out]");
        GOOD.replacen("[routes.out]", &feeds, 1)
    };
    let reads = "from = \"db\"\nquery = \"SELECT 1\"\nschedule = \"1s\"\nchanges = \"diff\"";
    let door = "listen = { path = \"/in/all\", key = { env = \"K\" } }";
    let stream = |name: &str, rest: &str| {
        let taken = format!("[routes.{name}-out]\nstream = \"{name}\"\nto = \"shop\"\nsend = {{ path = \"/{name}\" }}");
        format!("[streams.{name}]\nfrom = \"changes\"\nkey = \"id\"\n{rest}\n{taken}")
    };
    let users = stream("users", "entity = \"User\"");
    let (good, text) = checked(&[("routes.toml", &feed(reads, &users))]);
    assert_eq!(text, "");
    let landscape = good.landscape.unwrap();
    let served = landscape.feeds.iter().find(|feed| feed.name.as_str() == "changes").unwrap();
    assert_eq!((served.streams.len(), served.entity_column.as_deref()), (1, Some("kind")));
    assert!(checked(&[("routes.toml", &feed(door, &users))]).0.landscape.is_some());

    let twice = format!("{users}\n{}", stream("clients", "entity = \"User\""));
    let cases: [(String, &str, &[&str]); 13] = [
        (feed(reads, ""), "BUS-C018", &["no stream takes from the feed `changes`", "from = \"changes\""]),
        (feed(reads, &stream("users", "")), "BUS-C004", &["`entity` is required", "[streams.users]"]),
        (feed(reads, &twice), "BUS-C014", &["`users` takes the entity `User` already"]),
        (
            feed(reads, &stream("users", "entity = \"User\"\nquery = \"SELECT 1\"")),
            "BUS-C014",
            &["`query` beside a feed", "move `query` to the feed"],
        ),
        (feed(reads, &stream("users", "entity = \"U\"\nschedule = \"1s\"")), "BUS-C014", &["`schedule` beside a feed"]),
        (
            feed("from = \"db\"\nquery = \"SELECT 1\"\nchanges = \"diff\"", &users),
            "BUS-C004",
            &["`schedule` is required"],
        ),
        (feed(&format!("{door}\nchanges = \"diff\""), &users), "BUS-C014", &["a feed is pushed or read"]),
        (feed("", &users), "BUS-C004", &["`from` is required", "[feeds.changes]"]),
        (feed(reads, &users).replace("\"changes\"", "\"chnges\""), "BUS-C011", &["did you mean `changes`, defined"]),
        (GOOD.replacen("key = \"id\"", "key = \"id\"\nentity = \"x\"", 1), "BUS-C014", &["takes from none"]),
        (
            feed(reads, &users).replace("changes]", "shop]").replace("\"changes\"", "\"shop\""),
            "BUS-C010",
            &["a system and a feed"],
        ),
        (
            feed(reads, &users).replace("changes]", "users]").replace("\"changes\"", "\"users\""),
            "BUS-C010",
            &["a stream and a feed"],
        ),
        (
            feed(
                door,
                &format!(
                    "{users}\n[streams.more]\n{door}\nkey = \"id\"\n[subscriptions.s]\nstream = \"more\"\nvia = \"http\"\nkey = {{ env = \"K\" }}"
                ),
            ),
            "BUS-C014",
            &["the feed `changes` listens on `/in/all` already"],
        ),
    ];
    for (toml, code, parts) in cases {
        let (checked, text) = checked(&[("routes.toml", &toml)]);
        let found: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
        assert!(found.contains(&code) && found.len() <= 2, "{found:?}\n{text}\n{toml}");
        for part in parts {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
