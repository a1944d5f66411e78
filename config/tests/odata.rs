//! Bases of 1C in the configuration: what is said about mistakes.
#![allow(clippy::unwrap_used, missing_docs)]

use bus_config::{Changes, FeedSource, SystemKind, check};
use bus_options::{Colour, to_text};

const GOOD: &str = r#"
[bus]
timezone = "Asia/Omsk"
[systems.erp]
kind = "1c-odata"
url = "http://erp/trade/odata/standard.odata"
user = "bus"
password = { env = "ERP_PASSWORD" }
[systems.shop]
kind = "http"
url = "https://shop.example/api"
[streams.orders]
from = "erp"
entity = "Document_ЗаказКлиента"
key = "Ref_Key"
schedule = "1m"
changes = { cursor = "Date", overlap = "1d", recheck = "Sun 04:00" }
odata = { equals = { Posted = "true" }, keep = "padding", dates = "plain", deletion_mark = "delete" }
[routes.out]
stream = "orders"
to = "shop"
send = { method = "PUT", path = "/orders/{key}" }
"#;

fn checked(toml: &str) -> (bus_config::Checked, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routes.toml"), toml).unwrap();
    let checked = check(&folder.path().join("routes.toml"));
    let text = to_text(&checked.diagnostics, Colour::Off);
    (checked, text)
}

#[test]
fn what_is_said_of_a_base_and_a_stream_arrives() {
    let (checked, text) = checked(GOOD);
    let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
    let SystemKind::Odata(base) = &landscape.systems[0].kind else { panic!("{:?}", landscape.systems) };
    assert_eq!(
        (base.zone, base.sessions, base.reads.concurrency),
        (chrono_tz::Asia::Omsk, 3, 2),
        "the zone of the bus"
    );
    let FeedSource::Odata { changes: Changes::Cursor { column, recheck, .. }, .. } = &landscape.feeds[0].source else {
        panic!("{:?}", landscape.feeds)
    };
    assert_eq!((column.as_str(), recheck.is_some()), ("Date", true));
    let read = &landscape.streams[0].odata;
    assert_eq!(read.equals, [("Posted".to_owned(), "true".to_owned())]);
    assert!(read.padding && !read.empty_dates && read.plain_dates && read.marked_is_deleted);
}

#[test]
fn versions_are_compared_of_1c_and_of_records_alone() {
    let changes = "changes = { cursor = \"Date\", overlap = \"1d\", recheck = \"Sun 04:00\" }";
    for written in ["\"data_version\"", "{ data_version = true, guard = \"5%\" }"] {
        let (checked, text) = checked(&GOOD.replace(changes, &format!("changes = {written}")));
        let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
        let FeedSource::Odata { changes, .. } = &landscape.feeds[0].source else { panic!("{:?}", landscape.feeds) };
        assert!(matches!(changes, Changes::Diff { by_version: true, .. }), "{changes:?}");
    }
    let versions = GOOD.replace(changes, "changes = \"data_version\"");
    let expanded = versions.replace("keep = \"padding\"", "expand = \"Контрагент\"");
    assert!(self::checked(&expanded).1.contains("without a new version of this one"));
    let sql = GOOD
        .replace("kind = \"1c-odata\"\nurl = \"http://erp/trade/odata/standard.odata\"\nuser = \"bus\"\npassword = { env = \"ERP_PASSWORD\" }", "kind = \"sql\"\nurl = \"sqlite:x\"")
        .replace(changes, "changes = \"data_version\"");
    assert!(self::checked(&sql).1.contains("`data_version` is of 1C"));
}

#[test]
fn objects_are_named_in_either_form() {
    let russian = GOOD.replace("Document_ЗаказКлиента", "Документ.ЗаказКлиента").replace(
        "user = \"bus\"",
        "user = \"bus\"\nidentity = [\"Константа.ИдентификаторБазы\", \"Документ.ЗаказКлиента\"]",
    );
    let (checked, text) = checked(&russian);
    let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(landscape.streams[0].entity.as_deref(), Some("Document_ЗаказКлиента"));
    let SystemKind::Odata(base) = &landscape.systems[0].kind else { panic!("{:?}", landscape.systems) };
    let signs = (base.constant.as_deref(), base.witness.as_deref());
    assert_eq!(signs, (Some("Constant_ИдентификаторБазы"), Some("Document_ЗаказКлиента")));
    let plan =
        PLAN.replace("ExchangePlan_Шина", "ПланОбмена.Шина").replace("Document_ЗаказКлиента", "Документ.ЗаказКлиента");
    let (checked, text) = self::checked(&plan);
    let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
    let FeedSource::Odata { changes: Changes::Plan { plan, .. }, .. } = &landscape.feeds[0].source else { panic!() };
    assert_eq!(
        (plan.as_str(), landscape.streams[0].entity.as_deref()),
        ("ExchangePlan_Шина", Some("Document_ЗаказКлиента"))
    );
}

#[test]
fn each_mistake_has_its_code_and_hint() {
    let changes = "changes = { cursor = \"Date\", overlap = \"1d\", recheck = \"Sun 04:00\" }";
    for (replaced, by, code, part) in [
        (changes, "changes = { cursor = \"Date\" }", "BUS-C050", "back-dated"),
        (changes, "changes = { cursor = \"Date\", overlap = 5, recheck = \"Sun 04:00\" }", "BUS-C014", "is a time"),
        (changes, "changes = { data_version = false }", "BUS-C006", "says nothing"),
        ("entity = \"Document_ЗаказКлиента\"\n", "", "BUS-C004", "`entity` is required"),
        ("schedule = \"1m\"\n", "", "BUS-C004", "`schedule` is required"),
        ("key = \"Ref_Key\"", "key = \"Ref_Key\"\nquery = \"SELECT 1\"", "BUS-C014", "a `query` is for databases"),
        ("keep = \"padding\"", "keep = \"pading\"", "BUS-C006", "did you mean \"padding\"?"),
        ("dates = \"plain\"", "parameters = { Period = \"2026-01-01T00:00:00\" }", "BUS-C014", "no virtual table"),
        ("user = \"bus\"\n", "", "BUS-C014", "a password without a user"),
        ("Document_ЗаказКлиента", "Документы.ЗаказКлиента", "BUS-C051", "`Документы` is none of Справочник"),
        ("user = \"bus\"", "user = \"bus\"\nidentity = \"Справочник.Склады\"", "BUS-C052", "neither a constant nor"),
        ("user = \"bus\"", "user = \"bus\"\nidentity = [\"Константа.А\", \"Constant_Б\"]", "BUS-C052", "the second"),
        ("to = \"shop\"", "to = \"erp\"", "BUS-C014", "`send` is for HTTP; `erp` is a base of 1C"),
        (
            "kind = \"1c-odata\"\nurl = \"http://erp/trade/odata/standard.odata\"\nuser = \"bus\"\npassword = { env = \"ERP_PASSWORD\" }",
            "kind = \"sql\"\nurl = \"sqlite:x\"",
            "BUS-C014",
            "`odata` is for bases of 1C",
        ),
    ] {
        assert!(GOOD.contains(replaced), "{replaced}");
        let (checked, text) = checked(&GOOD.replacen(replaced, by, 1));
        assert!(checked.landscape.is_none(), "{by}");
        assert!(checked.diagnostics.iter().any(|one| one.code.id == code), "{by}\n{text}");
        assert!(text.contains(part), "{by}: {part}\n{text}");
    }
}

const PLAN: &str = r#"
[systems.erp]
kind = "1c-odata"
url = "http://erp/trade/odata/standard.odata"
[systems.shop]
kind = "http"
url = "https://shop.example/api"
[feeds.changes]
from = "erp"
schedule = "15s"
changes = { exchange_plan = "ExchangePlan_Шина", node = "bus", recheck = "Sun 04:00" }
[streams.orders]
from = "changes"
entity = "Document_ЗаказКлиента"
key = "Ref_Key"
odata = { keep = "padding" }
[routes.out]
stream = "orders"
to = "shop"
send = { method = "PUT", path = "/orders/{key}" }
"#;

#[test]
fn a_node_of_an_exchange_plan_serves_streams() {
    let (checked, text) = checked(PLAN);
    let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
    let feed = &landscape.feeds[0];
    let FeedSource::Odata { changes: Changes::Plan { plan, node, point: None, quiet, recheck: Some(_) }, .. } =
        &feed.source
    else {
        panic!("{feed:?}")
    };
    assert_eq!((plan.as_str(), node.as_str(), feed.streams.len()), ("ExchangePlan_Шина", "bus", 1));
    assert_eq!(quiet.as_secs(), 900);
    assert!(feed.entity_column.is_some() && landscape.streams[0].odata.padding);
}

#[test]
fn what_an_exchange_plan_cannot_do_is_said() {
    let feed = PLAN.split("[streams").next().unwrap().split("[feeds.changes]").nth(1).unwrap();
    let second = format!(
        "[feeds.other]{feed}[streams.more]\nfrom = \"other\"\nentity = \"Catalog_А\"\nkey = \"Ref_Key\"\n[routes.more]\nstream = \
         \"more\"\nto = \"shop\"\nsend = {{ method = \"PUT\", path = \"/x/{{key}}\" }}\n[streams.orders]"
    );
    for (replaced, by, code, part) in [
        ("keep = \"padding\"", "filter = \"Posted eq true\"", "BUS-C014", "no question to an exchange plan"),
        (
            "schedule = \"15s\"",
            "schedule = \"15s\"\nentity_column = \"kind\"",
            "BUS-C014",
            "name their entity themselves",
        ),
        ("node = \"bus\", ", "", "BUS-C004", "`node` is required"),
        (
            "changes = { exchange_plan = \"ExchangePlan_Шина\", node = \"bus\", recheck = \"Sun 04:00\" }",
            "changes = \"diff\"\nentity_column = \"x\"",
            "BUS-C014",
            "stream by stream",
        ),
        ("[streams.orders]", &second, "BUS-C014", "reads the node `bus` already"),
        (
            "from = \"changes\"",
            "from = \"erp\"\nschedule = \"1m\"\nchanges = { exchange_plan = \"ExchangePlan_Шина\", node = \"bus\" }",
            "BUS-C014",
            "it is a feed",
        ),
    ] {
        assert!(PLAN.contains(replaced), "{replaced}");
        let (checked, text) = checked(&PLAN.replacen(replaced, by, 1));
        assert!(checked.landscape.is_none(), "{by}");
        assert!(checked.diagnostics.iter().any(|one| one.code.id == code), "{by}\n{text}");
        assert!(text.contains(part), "{by}: {part}\n{text}");
    }
}

const WRITES: &str = r#"
[systems.erp]
kind = "1c-odata"
url = "http://erp/trade/odata/standard.odata"
capacity = { concurrency = 2 }
[systems.shop]
kind = "http"
url = "https://shop.example/api"
[streams.orders]
listen = { path = "/in/orders", key = { env = "K" } }
key = "id"
[routes.out]
stream = "orders"
to = "erp"
write = { set = "Document_ЗаказКлиента", by = "Номер", post = "follow", load_mode = true }
on_delete = "mark"
"#;

#[test]
fn what_is_said_of_writing_arrives() {
    use bus_config::{Carried, Gone, OdataWrite, Posting};
    let (checked, text) = checked(WRITES);
    let landscape = checked.landscape.unwrap_or_else(|| panic!("{text}"));
    let SystemKind::Odata(base) = &landscape.systems[0].kind else { panic!("{:?}", landscape.systems) };
    assert_eq!(base.takes.capacity.concurrency, 2);
    let expected = OdataWrite {
        set: "Document_ЗаказКлиента".into(),
        by: Some("Номер".into()),
        create: true,
        post: Posting::Follow,
        gone: Some(Gone::Mark),
        load_mode: true,
    };
    assert_eq!(landscape.routes[0].carried, Carried::Odata(expected));
}

#[test]
fn mistakes_of_writing_are_told() {
    let write = "write = { set = \"Document_ЗаказКлиента\", by = \"Номер\", post = \"follow\", load_mode = true }";
    for (from, to, words) in [
        (write, "", "`write` is required: it goes to a base of 1C"),
        (write, "send = { path = \"/o\" }", "`send` is for HTTP; `erp` is a base of 1C"),
        ("Document_ЗаказКлиента", "Catalog_Товары", "only documents are posted; Catalog_Товары is none"),
        ("\"Document_ЗаказКлиента\"", "\"Constant_Имя\"", "Constant_Имя has its key in its own fields"),
        ("on_delete = \"mark\"", "on_delete = { path = \"/o/{key}\" }", "a base of 1C takes no such request"),
        ("on_delete = \"mark\"", "on_delete = \"marks\"", "mark"),
        (write, &format!("{write}\nbatch = {{ max = 5 }}"), "BUS-C022"),
        ("to = \"erp\"", "to = \"shop\"", "`write` is for a base of 1C; `shop` is none"),
        ("to = \"erp\"", "to = \"shop\"", "only a base of 1C knows by itself how to delete"),
    ] {
        let (_, text) = checked(&WRITES.replace(from, to));
        assert!(text.contains(words), "{from} -> {to}: {text}");
    }
}
