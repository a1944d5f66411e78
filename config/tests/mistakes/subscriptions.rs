//! `[subscriptions]`.

use super::each;

#[test]
fn who_takes_by_himself() {
    each(&[
        (
            "[routes.out]",
            "[bus]\nbroker = \"amqp://r\"\n[subscriptions.bi]\nstream = \"orders\"\nkeep = { for = \"50d\" }\n[routes.out]",
            "BUS-C014",
            &["longer than RabbitMQ keeps", "49 days at most"],
        ),
        (
            "[routes.out]",
            "[maps.m]\nvalues = { a = \"b\" }\nunknown = \"hold\"\n[subscriptions.bi]\nstream = \"orders\"\nvia = \"http\"\n\
             key = { env = \"K\" }\nfields = { a = { path = \".a\", map = \"m\" } }\n[routes.out]",
            "BUS-C014",
            &["a subscription does not wait for map `m`"],
        ),
        (
            "[routes.out]",
            "[bus]\nbroker = \"amqp://r\"\n[subscriptions.bi]\nstream = \"orders\"\nwhen = 'true'\n[routes.out]",
            "BUS-C007",
            &["`when` is not supported yet", "via = \"http\""],
        ),
        (
            "[routes.out]",
            "[subscriptions.bi]\nstream = \"orders\"\n[routes.out]",
            "BUS-C014",
            &["must present a key", "routes.toml:14:"],
        ),
        (
            "[routes.out]",
            "[subscriptions.bi]\nstream = \"orders\"\nvia = \"http\"\n[routes.out]",
            "BUS-C014",
            &["must present a key"],
        ),
    ]);
}
