//! Ports that are free now and that nobody takes while a killed server is down.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

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
            && bind(port).is_ok()
        {
            taken.insert(port, lock);
            return port;
        }
    }
}

/// Binds without listening: a process that another thread starts at this moment holds a copy of the socket until its
/// program is loaded, and a copy that listened would keep the port from the server it is for.
fn bind(port: u16) -> io::Result<OwnedFd> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
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
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        let ports: HashSet<u16> = (0..50).map(|_| free()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| lock(*port).is_none()), "another program could take it");
    }

    #[test]
    fn a_copy_of_the_probe_does_not_keep_the_port_from_its_server() {
        let port = free();
        let _copy = bind(port).expect("nobody listens on it");
        let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .expect("as a process that has not loaded its program holds it");
        assert!(bind(port).is_err(), "a port with a server is not free");
    }
}
