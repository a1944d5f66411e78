//! Logs: lines for people, or JSON. `RUST_LOG` overrides the level.

use bus_config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. Normal operation says nothing per message.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    // The AMQP library logs returned messages with their payload: never, whatever RUST_LOG says.
    let filter = match "lapin=error".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start (the demo runs the bus in its own process) keeps the first.
    let _ = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}
