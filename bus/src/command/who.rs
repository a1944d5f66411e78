//! Who gives an order: what is kept beside a pause, an edit or a task, for whoever asks later.

/// `user@host`, as the operating system knows them. Not a proof: whoever may reach the bus may say anything.
pub fn who() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let user = named.into_iter().find(|user| !user.is_empty()).unwrap_or_else(|| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{user}@{}", if host.is_empty() { "this-machine" } else { host })
}
