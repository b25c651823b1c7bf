//! Gives back to the system what a burst of clients took.
//!
//! glibc's allocator returns what was freed at the end of a heap only; one small piece that lives on above thirty free
//! megabytes keeps them all. Elsewhere (musl, macOS) allocators return by themselves, and there is nothing to do.

use std::io;

/// Between two looks.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(2);

/// What the process may hold over what it started with before anything is given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HELD_PAGES: u64 = (2 << 20) / 4096;

/// Looks after the process's memory from now on, in a thread of its own. Fails where no thread is left.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn look_after() -> io::Result<()> {
    std::thread::Builder::new().name("heap".to_owned()).spawn(|| {
        let first = resident_pages();
        loop {
            std::thread::sleep(LOOK_AGAIN);
            if resident_pages() > first + HELD_PAGES {
                trim();
            }
        }
    })?;
    Ok(())
}

/// Nothing to look after.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn look_after() -> io::Result<()> {
    Ok(())
}

/// The second field of `/proc/self/statm`; without `/proc`, as much as can be, so that what is free is given back all the same.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn resident_pages() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(u64::MAX / 2)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the one call that no crate we would depend on wraps")]
fn trim() {
    // SAFETY: the C library declares it so; it takes no pointer and may be called at any time, from any thread.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}
