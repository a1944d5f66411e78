//! Checks a file and prints what is wrong: `cargo run -p bus-config --example check FILE`.

use bus_options::{Colour, to_text};

fn main() {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "routes.toml".into());
    print!("{}", to_text(&bus_config::check(path.as_ref()).diagnostics, Colour::Off));
}
