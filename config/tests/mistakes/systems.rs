//! `[systems]` and `[profiles]`.

use super::{URL, each};

#[test]
fn systems_and_what_they_take() {
    each(&[
        (URL, &format!("{URL}\nreads = {{ concurrency = 1 }}"), "BUS-C007", &["`reads` is not supported yet"]),
        (URL, &format!("{URL}\nheaders = {{ X-Trace = \"{{ky}}\" }}"), "BUS-C006", &["`{ky}` stands for nothing"]),
        ("kind = \"http\"", "kind = \"soap\"", "BUS-C007", &["\"sql\", \"http\", \"1c-odata\""]),
        ("kind = \"http\"", "kind = \"htpp\"", "BUS-C006", &["did you mean \"http\"?"]),
        ("kind = \"http\"", "", "BUS-C004", &["`kind` is required", "[systems.shop]"]),
        (URL, "url = \"ftp://shop\"", "BUS-C006", &["`ftp:` is not expected here"]),
        (URL, "url = \"https://bus:pw@shop\"", "BUS-C008", &["keep the whole address elsewhere"]),
        ("url = { env = \"DB_URL\" }", "url = \"mssql://db\"", "BUS-C007", &["`mssql` is not supported yet"]),
        ("url = { env = \"DB_URL\" }", "url = \"postgres://db/x?password=pw\"", "BUS-C008", &["a password"]),
        ("url = { env = \"DB_URL\" }", "url = { env = \"\" }", "BUS-C006", &["where the secret is kept"]),
        (URL, &format!("{URL}\nheaders = {{ Authorization = \"Bearer x\" }}"), "BUS-C008", &["`Authorization`"]),
        (URL, &format!("{URL}\nheaders = {{ \"X Y\" = \"x\" }}"), "BUS-C009", &["`X Y` is not a header"]),
        (URL, &format!("{URL}\npassword = \"x\""), "BUS-C008", &["{ env = \"NAME\" }"]),
        (URL, &format!("{URL}\nuser = \"bus\""), "BUS-C014", &["a user without a password"]),
        (URL, &format!("{URL}\npassword = {{ env = \"P\" }}"), "BUS-C014", &["a password without a user"]),
        (URL, &format!("{URL}\ncapacity.rate = \"dayly\""), "BUS-C011", &["no profile is called `dayly`"]),
        (URL, &format!("{URL}\ncapacity.rate = \"5/year\""), "BUS-C006", &["is not a rate"]),
        (URL, &format!("{URL}\ncapacity.margin = \"110%\""), "BUS-C006", &["is not a percentage"]),
        (
            "[systems.shop]",
            "[systems.\"a b\"]\nkind = \"sql\"\nurl = \"sqlite:x\"\n[systems.shop]",
            "BUS-C009",
            &["but not ' '"],
        ),
        ("to = \"shop\"", "to = \"warehouse\"", "BUS-C011", &["define it: [systems.warehouse]"]),
        (
            URL,
            &format!("{URL}\ntimeout = \"0s\""),
            "BUS-C006",
            &["\"0s\" is out of range", "from `\"1ms\"` to `\"1h\"`"],
        ),
        (
            URL,
            &format!("{URL}\ncapacity.operations = {{ upload = \"250/year\" }}"),
            "BUS-C006",
            &["is not a rate", "routes.toml:8"],
        ),
        (
            URL,
            &format!("{URL}\ncapacity.operations = {{ upload = \"nigth\" }}"),
            "BUS-C011",
            &["no profile is called `nigth`"],
        ),
        (URL, &format!("{URL}\nheaders = {{ X-Part = \"{{key.1}}\" }}"), "BUS-C019", &["`{key.1}`", "to = \"shop\""]),
        (URL, &format!("{URL}\ncapacity.unit = \"record\""), "BUS-C006", &["`record`", "one of \"request\""]),
        (
            "[routes.out]",
            "[profiles.p]\nwindows = [{ days = \"Mon-Sat\", rate = \"1/s\" }]\n[routes.out]",
            "BUS-C012",
            &["no window covers Sun 00:00"],
        ),
    ]);
}
