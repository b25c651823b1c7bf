//! Who holds a port: name and process id, read from /proc.
//!
//! Linux only, and only as far as we may look; elsewhere a holder stays unnamed.

use std::net::TcpListener;
use std::path::PathBuf;

use aiclipx_base::address::Address;

/// Why nobody could listen on this address now, if so. Only the kernel knows: we try to.
pub(super) fn refusal(address: &Address) -> Option<std::io::Error> {
    TcpListener::bind((address.host.as_str(), address.port)).err()
}

/// Whether somebody listens on this address.
pub(super) fn is_taken(address: &Address) -> bool {
    refusal(address).is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// `nginx (pid 4711)`, or what can be said instead.
pub(super) fn holder(port: u16) -> String {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    match processes().into_iter().find(|(_, folder)| holds(folder, &sockets)) {
        Some((pid, folder)) => {
            let name = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        }
        None => "a process we may not look at".to_owned(),
    }
}

/// The inodes of the sockets that listen on `port`, out of the text of /proc/net/tcp or tcp6.
fn listeners(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let ending = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&ending) && fields[3] == LISTEN)
        .map(|fields| fields[9].to_owned())
        .collect()
}

fn processes() -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect()
}

fn holds(process: &std::path::Path, sockets: &[String]) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.iter().any(|socket| socket == target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1111 1\n\
             1: 0100007F:2382 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 2222 1\n\
             2: 0100007F:2383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3333 1\n";
        assert_eq!(listeners(table, 0x2382), ["1111"]);
    }

    #[test]
    fn a_port_of_ours_is_taken_and_we_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::loopback(listener.local_addr().unwrap().port());
        assert!(is_taken(&address));
        if cfg!(target_os = "linux") {
            assert!(holder(address.port).contains(&format!("pid {}", std::process::id())));
        }
        drop(listener);
        assert!(!is_taken(&address));
    }
}
