//! Returns to the system the memory that a burst of clients took.
//!
//! glibc's allocator returns only what is free at the end of a heap: one small piece that lives on above thirty free megabytes
//! keeps them all. `malloc_trim` returns what lies between, too, but not the free end of a thread's own heap: so there is one
//! heap for all threads. Other allocators are left alone.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use glibc::{one_heap_for_all, return_freed_memory};

/// Nothing to do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn one_heap_for_all() {}

/// Nothing to do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn return_freed_memory(_: impl Fn() -> u64 + Send + 'static) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::io;
    use std::time::Duration;

    /// Between two looks.
    const INTERVAL: Duration = Duration::from_secs(2);

    /// What the process may hold over what it started with before anything is given back, in bytes.
    const HELD: u64 = 2 << 20;

    /// To be called before there is a second thread. What threads free and take again at once, they still keep to themselves.
    #[expect(unsafe_code, reason = "as below")]
    pub fn one_heap_for_all() {
        /// `M_ARENA_MAX` of malloc.h.
        const MOST_HEAPS: std::ffi::c_int = -8;
        // SAFETY: the C library declares it so; it takes no pointer, and an option it doesn't know changes nothing.
        unsafe extern "C" {
            safe fn mallopt(option: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        mallopt(MOST_HEAPS, 1);
    }

    /// Looks after the process's memory from now on, in a thread of its own. `ended` counts what frees some: while it
    /// stands still there is nothing to give back. Fails where no thread is left.
    pub fn return_freed_memory(ended: impl Fn() -> u64 + Send + 'static) -> io::Result<()> {
        std::thread::Builder::new().name("heap".to_owned()).spawn(move || {
            let first = resident();
            let (mut seen, mut changed) = (0, false);
            loop {
                std::thread::sleep(INTERVAL);
                let now = ended();
                // Once more after the last end: what it frees may be freed a moment after it was counted.
                let looks = changed || now != seen;
                (changed, seen) = (now != seen, now);
                if looks && first.zip(resident()).is_none_or(|(first, now)| now > first + HELD) {
                    trim();
                }
            }
        })?;
        Ok(())
    }

    /// Bytes, of the second field of `/proc/self/statm`; none where there is no `/proc`.
    fn resident() -> Option<u64> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    #[expect(unsafe_code, reason = "no crate we would depend on wraps it")]
    fn trim() {
        // SAFETY: the C library declares it so; it takes no pointer and may be called at any time, from any thread.
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}
