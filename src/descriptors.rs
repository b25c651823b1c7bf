//! File descriptors: how many there may be, and how many of them are the clients'.
//!
//! Each connection takes one. A service that accepts until none are left can't answer its monitoring either, nor read its own
//! use of memory: so clients get what remains after a reserve.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::ADMIN_CONNECTIONS;

/// The fewest that serve: the runtime's own, two listeners, and a connection at each.
pub const FEWEST: usize = 24;

/// For the files of /proc that a scrape reads, on every worker at once, and for what a library opens.
const SPARE: usize = 16;

/// What a process has open before it serves, where it can't be counted.
const USUALLY_OPEN: usize = 16;

/// Raises the soft limit to the hard one, and says what it is then.
///
/// The usual soft limit of 1024 is there for programs that use `select`; this one doesn't, and starts no others.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it is refused (macOS has a bound of its own below `unlimited`), the old limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// How many are open now.
pub fn open() -> usize {
    // The folder that is read is one of them.
    std::fs::read_dir("/dev/fd").map_or(USUALLY_OPEN, |open| open.count().saturating_sub(1))
}

/// How many connections clients may have at once, of `wanted`: what remains of the limit after those that are open before
/// anybody is served, the monitoring's connections and some to spare. At least one, whatever the limit.
pub fn for_clients(wanted: usize, limit: usize, open: usize) -> usize {
    limit.saturating_sub(open + ADMIN_CONNECTIONS + SPARE).clamp(1, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_remains_after_the_reserve() {
        assert_eq!(for_clients(1024, 1024, 12), 980);
        assert_eq!(for_clients(1024, 20_000, 12), 1024);
        assert_eq!(for_clients(100_000, usize::MAX, 12), 100_000);
        assert_eq!(for_clients(1024, FEWEST, 12), 1);
        assert_eq!(for_clients(1, 0, usize::MAX / 2), 1);
    }

    #[test]
    fn what_is_open_is_counted() {
        let before = open();
        let held: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open and close some of their own meanwhile.
        assert!(open() > before + 50, "{before}");
        drop(held);
        assert!(raise() > 0);
    }
}
