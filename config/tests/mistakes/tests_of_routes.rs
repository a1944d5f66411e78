//! `[[tests]]`.

use super::each;

#[test]
fn what_a_test_says() {
    each(&[
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"uot\"\ngiven = { id = 1 }\nskip = true\n[routes.out]",
            "BUS-C011",
            &["no route is called `uot`", "did you mean `out`", "routes.toml:16:9\n"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = { id = 1 }\n[routes.out]",
            "BUS-C004",
            &["nothing says what the test expects", "routes.toml:14:"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = '{\"id\": 1'\nskip = true\n[routes.out]",
            "BUS-C006",
            &["not JSON", "routes.toml:17:9\n"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven_file = \"nein.json\"\nskip = true\n[routes.out]",
            "BUS-C031",
            &["`nein.json` cannot be read", "routes.toml:17:14\n"],
        ),
        (
            "[routes.out]",
            "[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = { id = 1 }\nskip = true\nreject = \"x\"\n[routes.out]",
            "BUS-C014",
            &["`reject` beside `skip`", "routes.toml:19:10\n"],
        ),
        (
            "[routes.out]",
            "[maps.sku]\nvalues = { a = 1 }\n[[tests]]\nname = \"t\"\nroute = \"out\"\ngiven = { id = 1 }\nskip = true\n\
             maps = { sku = { a = 2 } }\n[routes.out]",
            "BUS-C014",
            &["map `sku` has its values in the configuration", "routes.toml:21:10\n"],
        ),
    ]);
}
