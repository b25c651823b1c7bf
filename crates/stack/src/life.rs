//! A process by its id: whose it is, whether it lives or is paused, since when; and signals to it. /proc tells; where there is
//! none, `ps` tells its command line, and nothing else is known.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::tools::helper;

/// When a process was started, in milliseconds since the machine's start.
pub(super) fn started_ms(pid: u32) -> Option<u64> {
    // The kernel's clock ticks in /proc are 100 a second on every Linux there is.
    const MS_PER_TICK: u64 = 10;
    stat_fields(pid)?.get(19)?.parse::<u64>().ok().map(|ticks| ticks * MS_PER_TICK)
}

/// Whether a process was stopped in its tracks.
pub(super) fn is_paused(pid: u32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields.first().is_some_and(|state| state == "T"))
}

/// The fields of /proc/PID/stat behind the name, which may hold anything: state first.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The program and its arguments, with spaces between.
pub(super) async fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        return std::fs::read(format!("/proc/{pid}/cmdline"))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = helper("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whose process this is, if it is neither ours nor ours to stop. Known where there is a /proc.
pub(super) fn foreign_owner(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let owner = |process: &str| std::fs::metadata(Path::new("/proc").join(process)).ok().map(|meta| meta.uid());
    let (ours, theirs) = (owner("self")?, owner(&pid.to_string())?);
    (ours != 0 && ours != theirs).then_some(theirs)
}

/// Whether a process of this id exists (a zombie counts as gone).
pub(super) async fn is_alive(pid: u32) -> bool {
    command_line(pid).await.is_some_and(|line| !line.trim().is_empty())
}

/// Sends a signal to processes. Those that are gone are passed over, and those of somebody else are told by who waits for them.
pub(super) fn signal(signal: Signal, pids: &[u32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
        let _ = kill_process(pid, signal);
    }
}
