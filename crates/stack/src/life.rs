//! What /proc tells of a process' life: since when, and whether it is paused. Elsewhere nothing.

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
