//! `[routes]`.

use super::{BULK, SEND, each};

#[test]
fn what_is_sent_and_when() {
    each(&[
        (
            SEND,
            &format!("{SEND}\necho = {{ of = \"out\", compare = [\".a\"] }}"),
            "BUS-C014",
            &["not the echo of itself", "routes.toml:18:15\n"],
        ),
        (
            SEND,
            &format!(
                "{SEND}\n[routes.back]\nstream = \"orders\"\nto = \"shop\"\n{SEND}\n\
                 echo = {{ of = \"out\", compare = [\".a\"], by = \"receiver_id\" }}"
            ),
            "BUS-C014",
            &["`out` never learns its receiver's ids"],
        ),
        (SEND, &format!("{SEND}\necho = {{ of = \"out\", compare = [] }}"), "BUS-C006", &["no field is compared"]),
        (SEND, &format!("{SEND}\non_reject = \"park-key\""), "BUS-C007", &["`on_reject` is not supported yet"]),
        (SEND, &format!("{SEND}\nretry = {{ budget = \"1h\" }}"), "BUS-C003", &["unknown key `budget`"]),
        ("stream = \"orders\"", "stream = \"order\"", "BUS-C011", &["did you mean `orders`, defined at line 8?"]),
        ("to = \"shop\"", "to = \"db\"", "BUS-C007", &["does not write to one yet"]),
        (
            SEND,
            &format!("{SEND}\nwhen_left = \"delete\"\non_delete = {{ path = \"/x\" }}"),
            "BUS-C014",
            &["without `when`"],
        ),
        (SEND, &format!("{SEND}\nwhen = '.a == 1'\nwhen_left = \"delete\""), "BUS-C014", &["no request says how"]),
        (SEND, &format!("{SEND}\non_delete = {{ path = \"/x/{{receiver_id}}\" }}"), "BUS-C014", &["never learnt"]),
        (SEND, &format!("{SEND}\non_delete = \"forget\""), "BUS-C006", &["one of \"ignore\""]),
        (SEND, &format!("{SEND}\nwhen = '.Сумма > 1'"), "BUS-C015", &["needs quotes: .\"Сумма\"", "routes.toml:18:10"]),
        (SEND, &format!("{SEND}\ntransform = '. = {{}}'\nfields = {{ a = \".a\" }}"), "BUS-C014", &["`fields` beside"]),
        (SEND, &format!("{SEND}\nfields = {{ a = \".a..b\" }}"), "BUS-C016", &["routes.toml:18:20"]),
        (SEND, &format!("{SEND}\nfields = {{}}"), "BUS-C006", &["no field is named"]),
        (SEND, &format!("{SEND}\nconcurrency = 0"), "BUS-C006", &["from 1 to 256"]),
        (SEND, "send = { method = \"PUT\", path = \"/orders/{ky}\" }", "BUS-C006", &["`{ky}` stands for nothing"]),
        (SEND, "send = { path = \"orders\" }", "BUS-C006", &["begin with a slash"]),
        (SEND, "send = { path = \"/o\", receiver_id = \"id\" }", "BUS-C006", &["is not a JSON pointer"]),
        (SEND, &format!("{SEND}\nretry = {{ first = \"0s\" }}"), "BUS-C006", &["from `\"1ms\"` to `\"1d\"`"]),
        (
            SEND,
            "send = { path = \"/orders/{key.0}/{key.1}\" }",
            "BUS-C019",
            &["`{key.1}` is beyond the key of stream `orders`", "{key.0} is id", "routes.toml:17:17"],
        ),
        (
            SEND,
            &format!("{SEND}\noperation = \"upload\""),
            "BUS-C011",
            &["`shop` has no operation `upload`", "operations = { upload = \"250/h\" }"],
        ),
        (SEND, &format!("{SEND}\non_delete = {{ path = \"/x/{{key.2}}\" }}"), "BUS-C019", &["`{key.2}`"]),
        (
            SEND,
            "send = { path = \"/x\", headers = { X-Part = \"{key.1}\" } }",
            "BUS-C019",
            &["`{key.1}` is beyond", "routes.toml:17"],
        ),
    ]);
}

#[test]
fn what_a_receiver_must_hold_before() {
    each(&[
        (
            SEND,
            &format!("{SEND}\nrequires = {{ stream = \"none\", keys = \".a\" }}"),
            "BUS-C011",
            &["no stream is called `none`"],
        ),
        (
            SEND,
            &format!("{SEND}\nrequires = {{ stream = \"orders\", keys = \".lines[*\" }}"),
            "BUS-C016",
            &["`[` is not closed"],
        ),
        (
            "[routes.out]",
            "[systems.till]\nkind = \"http\"\nurl = \"http://till\"\n[routes.other]\nstream = \"orders\"\nto = \"till\"\n\
             send = { path = \"/\" }\n[streams.p]\nkey = \"id\"\nlisten = { path = \"/in/p\", key = { env = \"K\" } }\n\
             [routes.p]\nstream = \"p\"\nto = \"shop\"\nsend = { path = \"/\" }\n\
             requires = { stream = \"orders\", keys = \".a\" }\n[routes.p2]\nstream = \"p\"\nto = \"till\"\nsend = { path = \"/\" }\n\
             requires = [{ stream = \"orders\", keys = \".a\" }, { stream = \"p\", keys = \".b\" }]\n\
             [streams.q]\nkey = \"id\"\nlisten = { path = \"/in/q\", key = { env = \"K\" } }\n[routes.q]\nstream = \"q\"\nto = \"shop\"\n\
             send = { path = \"/\" }\n[routes.q2]\nstream = \"p\"\nto = \"till\"\nsend = { path = \"/\" }\n\
             requires = { stream = \"q\", keys = \".q\" }\n[routes.out]",
            "BUS-C020",
            &["no route brings `q` to `till`", "stream = \"q\" and to = \"till\""],
        ),
    ]);
}

#[test]
fn several_records_in_one_request() {
    each(&[
        (
            SEND,
            &format!("{SEND}\nbatch = {{ max = 5 }}"),
            "BUS-C021",
            &["the path holds `{key}`, which is of one record", "routes.toml:17:"],
        ),
        (
            SEND,
            &format!("{BULK}, headers = {{ X-Seq = \"{{seq}}\" }} }}\nbatch = {{ max = 5 }}"),
            "BUS-C021",
            &["a header holds `{seq}`"],
        ),
        (
            SEND,
            &format!("{BULK} }}\nbatch = {{ max = 5 }}\nidempotent = {{ header = \"Idempotency-Key\" }}"),
            "BUS-C023",
            &["`Idempotency-Key` carries the key of one record"],
        ),
        (
            SEND,
            &format!("{BULK}, receiver_id = \"/id\" }}\nbatch = {{ max = 5 }}"),
            "BUS-C024",
            &["no `receiver_id` is found"],
        ),
        (
            SEND,
            &format!("{BULK} }}\nbatch = {{ max = 5, results = {{ status = \"/a\", error = \"/b\" }} }}"),
            "BUS-C024",
            &["both decide"],
        ),
        (
            SEND,
            &format!("{BULK} }}\nbatch = {{ max = 5, results = {{ sent = \"/a\" }} }}"),
            "BUS-C024",
            &["`sent` is compared with nothing"],
        ),
        (
            SEND,
            &format!("{BULK} }}\nbatch = {{ max = 5, wait = \"11s\" }}"),
            "BUS-C026",
            &["would wait 11s for others", "longer than 20s", "at most half of `hold` in [bus], which is 10s"],
        ),
        (SEND, &format!("{BULK} }}\nbatch = {{ max = 5, results = \"/a\" }}"), "BUS-C006", &["/items/*/status"]),
        (SEND, &format!("{BULK} }}\nbatch = {{ max = 5, body = \"list\" }}"), "BUS-C006", &["\"array\", \"lines\""]),
        (SEND, &format!("{BULK} }}\nbatch = {{ max = 5, bytes = \"1GB\" }}"), "BUS-C006", &["too large"]),
        (SEND, &format!("{BULK} }}\nbatch = {{ max = 1 }}"), "BUS-C006", &["from 2 to 1000"]),
    ]);
}
