//! Ports that are free now and that nobody takes while a killed server is down.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Below the range that the kernel takes for outgoing connections (32768 and up): a client that keeps trying to reach
/// a stopped server on a port of that range ends up connected to itself, and the server cannot come back.
const RANGE: Range<u16> = 16_000..32_000;
/// For processes that the tests start and that choose for themselves: they cannot know what the tests have given out.
const RANGE_OF_CHILDREN: Range<u16> = 12_000..16_000;

/// Given out by this process already, each with its lock: a stopped server's port looks free, but is not. Other test
/// programs that run at the same time see the locks; they end with the process, however it ends.
static TAKEN: LazyLock<Mutex<HashMap<u16, File>>> = LazyLock::new(Mutex::default);

/// A port on 127.0.0.1 that nothing listens on. Another process may still win the race: callers that start a server
/// try again with other ports.
pub fn free() -> u16 {
    free_in(RANGE)
}

/// As [`free`], for a process that the tests have started.
pub fn free_for_child() -> u16 {
    free_in(RANGE_OF_CHILDREN)
}

fn free_in(range: Range<u16>) -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = fastrand::u16(range.clone());
        if taken.contains_key(&port) {
            continue;
        }
        if let Some(lock) = lock(port)
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            taken.insert(port, lock);
            return port;
        }
    }
}

/// `None`: another test program has given this port out.
fn lock(port: u16) -> Option<File> {
    let folder = std::env::temp_dir().join(format!("bus-tests-ports-{}", rustix::process::getuid().as_raw()));
    std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
    let file = File::create(folder.join(port.to_string())).expect("the temporary directory is writable");
    file.try_lock().is_ok().then_some(file)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_port_is_given_out_once_and_is_free() {
        let ports: HashSet<u16> = (0..50).map(|_| free()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| lock(*port).is_none()), "another program could take it");
        assert!(ports.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()));
    }
}
