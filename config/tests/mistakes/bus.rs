//! `[bus]`.

use super::each;

#[test]
fn the_bus_itself() {
    each(&[
        ("[routes.out]", "[bus]\nhold = \"0s\"\n[routes.out]", "BUS-C006", &["from `\"1s\"` to `\"10m\"`"]),
        ("[routes.out]", "[bus]\nhold = \"11m\"\n[routes.out]", "BUS-C006", &["\"11m\" is out of range"]),
        ("[routes.out]", "[bus]\nlisten = \"0.0.0.0:80\"\n[routes.out]", "BUS-C017", &["add key = { env"]),
        ("[routes.out]", "[bus]\nlisten = \"localhost\"\n[routes.out]", "BUS-C006", &["an IP address and a port"]),
        ("[routes.out]", "[bus]\nbroker = \"embeded\"\n[routes.out]", "BUS-C006", &["did you mean \"embedded\"?"]),
        ("[routes.out]", "[bus]\nbroker = \"amqp://u:p@r\"\n[routes.out]", "BUS-C008", &["a password"]),
        ("[routes.out]", "[bus]\nbroker_ca = \"ca.pem\"\n[routes.out]", "BUS-C014", &["needs no certificate"]),
    ]);
}
