//! Files and what they include; no secret of them is shown.

use bus_config::check;

use super::{GOOD, URL, checked};

#[test]
fn mistakes_name_the_file_they_are_in() {
    let main = format!("include = [\"routes.d/*.toml\", \"more.toml\"]\n{GOOD}");
    let (_, text) = checked(&[
        ("routes.toml", &main),
        ("routes.d/б.toml", "[systems.shop]\nkind = \"http\"\nurl = \"http://x\"\n"),
        ("routes.d/в.toml", "[bus]\n[routes.r]\nstream = \"order\"\nto = \"shop\"\nsend.path = \"/x\"\n"),
        ("routes.d/г.toml", "a = ["),
    ]);
    for part in [
        "`more.toml`\n --> routes.toml:1:31",
        "system `shop` is defined twice\n --> routes.d/б.toml:1:10",
        "in routes.toml, line 6: rename one",
        "`[bus]`, `[defaults]` and `include` belong to the main file\n --> routes.d/в.toml:1:2",
        "did you mean `orders`, defined at routes.toml, line 9?",
        "error[BUS-C002]",
        "the list that begins here does not end\n --> routes.d/г.toml:1:5",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_configuration_without_streams_says_what_is_missing() {
    for text in ["", "# nothing yet\n", "[bus]\nname = \"a\"\n", "include = [\"routes.d/*.toml\"]\n"] {
        let (checked, said) = checked(&[("routes.toml", text)]);
        assert!(checked.landscape.is_none(), "{text}");
        assert!(said.contains("error[BUS-C027]: no stream is defined") && said.contains("[streams.NAME]"), "{said}");
    }
}

#[test]
fn a_missing_file_is_a_mistake_without_a_place() {
    let checked = check(std::path::Path::new("/nonexistent/routes.toml"));
    assert_eq!(checked.diagnostics.len(), 1);
    assert_eq!(checked.diagnostics[0].code.id, "BUS-C001");
}

#[test]
fn no_secret_is_ever_shown() {
    for by in [
        "url = \"https://bus:hunter2@shop\"",
        "url = \"ftp://bus:hunter2@shop\"",
        "url = \"https://bus:hunter2@sh op\"",
        "url = \"https://shop\"\nheaders = { X-Api-Key = \"hunter2\", wrong = 5 }",
        "url = \"https://shop\"\npassword = \"hunter2\"",
        "url = \"https://shop\"\npassword = [\"hunter2\"]",
        "url = \"https://shop\"\npassword = \"hunter2",
        "url = \"https://shop\"\nheaders = { Authorization = \"Bearer hunter2\" ",
        "url = https://api.telegram.org/bot12345:hunter2/send",
        "url = \"https://shop\"\npassword: hunter2",
        "url = \"https://shop\"\n[systems.shop.headers]\nX-Part = hunter2",
        "url = \"https://shop\"\nheaders = {\nX-Part = hunter2 }",
        "server = smtps://bus:hunter2@mail",
    ] {
        let (checked, text) = checked(&[("routes.toml", &GOOD.replacen(URL, by, 1))]);
        assert!(checked.landscape.is_none());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!bus_options::to_json(&checked.diagnostics).to_string().contains("hunter2"));
    }
}
