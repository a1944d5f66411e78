//! What the declarations say about the language: JSON schema for editors, reference for people.

use bus_options::{OptionValue, markdown};
use serde_json::Value;

use crate::language::Root;

/// JSON schema (draft-07) of `routes.toml`, for editors such as those built on Taplo.
pub fn json_schema() -> Value {
    let mut schema = Root::schema();
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        object.insert("title".into(), "Entity Bus: routes.toml".into());
    }
    schema
}

/// Checked as every example is.
const DEFAULTS: &str = r#"## Example of `[defaults]`

In the main file, for all files:

```toml partial
[defaults.systems]
timeout = "5s"

[defaults.streams]
schedule = "15s"

[defaults.routes]
concurrency = 8
retry       = { attempts = 5, max = "1m" }

[routes.orders-to-shop]                # eight at a time, five attempts
stream = "orders"
to     = "shop"
send   = { method = "PUT", path = "/orders/{key}" }

[routes.stock-to-shop]                 # eight attempts: its own `retry` replaces the default as a whole
stream = "stock"
to     = "shop"
send   = { method = "PUT", path = "/stock/{key}" }
retry  = { first = "2s" }
```

"#;

/// `docs/reference/routes.md`: generated from the declarations, never written by hand.
pub fn reference_markdown() -> String {
    let mut tables = Vec::new();
    Root::tables(&mut tables);
    let head = "# routes.toml\n\nGenerated from the declarations in `config/src/language`; \
                `BUS_WRITE_DOCS=1 cargo test -p bus-config` writes it anew.\n\n";
    let functions = crate::shape::function_names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let programs = format!(
        "## Programs\n\n`when` and `transform` are [VRL](https://vrl.dev). A program sees nothing but the record: no \
         clock, no random numbers, no environment, no network. These functions may be called:\n\n{functions}\n"
    );
    format!("{head}{}{DEFAULTS}{programs}", markdown(&tables))
}
