//! `expect`, `empty_by`, `[notify]` and `[maintenance]`.

use super::{SEND, one_mistake};

#[test]
fn who_is_told_and_what_is_expected() {
    one_mistake(
        "key = \"id\"",
        "key = \"id\"\nexpect = { within = \"15m\", hours = \"8-22\" }",
        "BUS-C006",
        &["08:00-22:00"],
    );
    one_mistake(SEND, &format!("{SEND}\nempty_by = \"6:00\""), "BUS-C006", &["06:00"]);
    let with = |more: &str| format!("[systems.db]\n{more}");
    let cases = [
        (
            "[notify.m]\nkind = \"email\"\nserver = \"smtp://mail.example\"\nfrom = \"a@b\"\nto = \"c@d\"\nuser = \"u\"\npassword = { env = \"P\" }",
            "BUS-C030",
            "smtps://",
        ),
        (
            "[notify.m]\nkind = \"email\"\nserver = \"smtps://mail.example\"\nfrom = \"a@b\"\nto = \"ops\"",
            "BUS-C006",
            "`ops` is not a mail address",
        ),
        ("[notify.m]\nkind = \"telegram\"\ntoken = \"12:secret\"\nchat = \"7\"", "BUS-C008", "env"),
        ("[notify.m]\nkind = \"pager\"", "BUS-C006", "telegram"),
        ("[maintenance.m]\nsystems = [\"dbb\"]\nhours = \"03:00-05:00\"", "BUS-C011", "did you mean `db`"),
    ];
    for (more, code, part) in cases {
        one_mistake("[systems.db]\n", &format!("{more}\n{}", with("")), code, &[part]);
    }
}
