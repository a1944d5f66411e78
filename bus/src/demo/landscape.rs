//! The shipped `routes.toml`, with the demo's own addresses in place of the environment's.

use std::path::Path;

use anyhow::{Context, bail};
use bus_config::Landscape;

use super::base::Trade;
use super::receiver::Receiver;

const SHIPPED: &str = include_str!("../../../routes.toml");

/// Writes the file into the demo's directory and reads it as any other.
pub fn prepare(directory: &Path, trade: &Trade, receivers: &[Receiver]) -> anyhow::Result<Landscape> {
    let mut secrets = vec![("DEMO_1C_URL".to_owned(), trade.url().to_owned())];
    for receiver in receivers {
        let name = receiver.name().to_uppercase();
        secrets.push((format!("DEMO_{name}_URL"), receiver.url().to_owned()));
        secrets.push((format!("DEMO_{name}_KEY"), receiver.key().to_owned()));
    }
    let mut text = SHIPPED.to_owned();
    for (name, value) in secrets {
        let file = directory.join(&name);
        std::fs::write(&file, value)?;
        let quoted = serde_json::to_string(&file.to_string_lossy())?;
        text = text.replace(&format!("{{ env = \"{name}\" }}"), &format!("{{ file = {quoted} }}"));
    }
    let state = serde_json::to_string(&directory.join("bus.db").to_string_lossy())?;
    text = text.replace("\"data/bus.db\"", &state);
    let file = directory.join("routes.toml");
    std::fs::write(&file, text).context("the demo's routes.toml")?;
    let checked = bus_config::check(&file);
    match checked.landscape {
        Some(landscape) => Ok(landscape),
        None => bail!("{}", bus_options::to_text(&checked.diagnostics, bus_options::Colour::Off)),
    }
}
