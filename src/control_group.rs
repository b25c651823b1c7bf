//! The limits of the process' control group: on memory, beyond which the kernel ends it, and on processor time, beyond which
//! the kernel makes it wait.
//!
//! Linux has them in files. Each group up to the root may have a limit, and the smallest holds; groups outside its own
//! namespace a process does not see. Where there is no group, no limit, or another kernel, there is none.

use std::path::{Component, Path, PathBuf};

/// Version 1 writes "no limit" as the largest signed number of whole pages. No machine has half of that.
const UNLIMITED: u64 = 1 << 62;

/// The limits of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// Bytes of memory.
    pub(super) memory: Option<u64>,
    /// Processors that it may keep busy, in the mean: half of one is 0.5. The machine's number of them, and those that the
    /// process is pinned to, are not counted in.
    pub(super) processors: Option<f64>,
}

/// As they are now: they may be changed while the process runs.
pub(super) fn limits() -> Limits {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let told = |name: &str| read(&Path::new("/proc/self").join(name));
    let (Some(groups), Some(mounts)) = (told("cgroup"), told("mountinfo")) else { return Limits::default() };
    Limits { memory: smallest_memory(&groups, &mounts, &read), processors: smallest_quota(&groups, &mounts, &read) }
}

/// What the kernel wrote into a file, if it is there.
type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

fn smallest_memory(groups: &str, mounts: &str, read: Read<'_>) -> Option<u64> {
    let limits = folders(groups, mounts, "memory").into_iter().filter_map(|(version, folder)| {
        let file = match version {
            Version::First => "memory.limit_in_bytes",
            Version::Second => "memory.max",
        };
        read(&folder.join(file))?.trim().parse::<u64>().ok()
    });
    limits.filter(|limit| *limit < UNLIMITED).min()
}

/// So many microseconds of processor time in a period of so many.
fn smallest_quota(groups: &str, mounts: &str, read: Read<'_>) -> Option<f64> {
    let limits = folders(groups, mounts, "cpu").into_iter().filter_map(|(version, folder)| {
        let (quota, period) = match version {
            Version::First => (read(&folder.join("cpu.cfs_quota_us"))?, read(&folder.join("cpu.cfs_period_us"))?),
            Version::Second => {
                let both = read(&folder.join("cpu.max"))?;
                let (quota, period) = both.trim().split_once(' ')?;
                (quota.to_owned(), period.to_owned())
            }
        };
        // Without a limit the quota is `max` in the second version, and -1 in the first.
        let (quota, period): (u32, u32) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
        (period > 0).then(|| f64::from(quota) / f64::from(period))
    });
    limits.min_by(f64::total_cmp)
}

/// The two versions of control groups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// A tree for each controller.
    First,
    /// One tree for all controllers.
    Second,
}

/// The folders of the groups that control this for a process and of those around them, by its `cgroup` and `mountinfo` of
/// proc(5).
fn folders(groups: &str, mounts: &str, controller: &str) -> Vec<(Version, PathBuf)> {
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let mut folders = Vec::new();
    for group in groups.lines() {
        // Its number, what is controlled (of the second version nothing is said), its path.
        let mut fields = group.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let version = match controllers {
            "" => Version::Second,
            _ if has(controllers, controller) => Version::First,
            _ => continue,
        };
        let is_it = |mount: &&Mount| match version {
            Version::First => mount.kind == "cgroup" && has(mount.options, controller),
            Version::Second => mount.kind == "cgroup2",
        };
        let Some(mount) = mounts.iter().find(is_it) else { continue };
        let own = mount.folder_of(path);
        let around = own.ancestors().take_while(|folder| folder.starts_with(mount.point));
        folders.extend(around.map(|folder| (version, folder.to_owned())));
    }
    folders
}

fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|one| one == word)
}

/// A line of `mountinfo`.
struct Mount<'a> {
    /// What of the file system is mounted.
    root: &'a str,
    /// Where.
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        // Some optional fields end with a dash.
        let (where_to, what) = line.split_once(" - ")?;
        let mut where_to = where_to.split(' ').skip(3);
        let mut what = what.split(' ');
        Some(Mount { root: where_to.next()?, point: where_to.next()?, kind: what.next()?, options: what.nth(1)? })
    }

    /// The folder of a group. In a container the mount may begin at the container's own group, while its path is told from
    /// the host's root; a path that leads past the mount is of a group that can't be seen.
    fn folder_of(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        let leads_past = path.components().any(|part| part == Component::ParentDir);
        let below = path.strip_prefix(self.root).ok().filter(|_| !leads_past);
        Path::new(self.point).join(below.unwrap_or(Path::new("")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SECOND: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const FIRST: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

    fn reading<T>(files: &[(&str, &str)], ask: impl Fn(Read<'_>) -> Option<T>) -> Option<T> {
        let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
        ask(&|path| files.get(path).map(|text| (*text).to_owned()))
    }

    fn of(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        reading(files, |read| smallest_memory(groups, mounts, read))
    }

    fn quota(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<f64> {
        reading(files, |read| smallest_quota(groups, mounts, read))
    }

    #[test]
    fn the_smallest_of_a_group_and_those_around_it_holds() {
        let groups = "0::/system.slice/aiclipx.service\n";
        let own = "/sys/fs/cgroup/system.slice/aiclipx.service/memory.max";
        let around = "/sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(of(groups, SECOND, &[(own, "67108864\n"), (around, "max\n")]), Some(64 << 20));
        assert_eq!(of(groups, SECOND, &[(own, "67108864\n"), (around, "33554432\n")]), Some(32 << 20));
        assert_eq!(of(groups, SECOND, &[(own, "max\n"), (around, "33554432\n")]), Some(32 << 20));
        assert_eq!(of(groups, SECOND, &[("/sys/fs/cgroup/other/memory.max", "1\n")]), None);
    }

    #[test]
    fn where_there_is_no_limit_there_is_none() {
        assert_eq!(of("0::/a\n", SECOND, &[("/sys/fs/cgroup/a/memory.max", "max\n")]), None);
        assert_eq!(of("0::/\n", SECOND, &[]), None, "the root has no such file");
        assert_eq!(of("", SECOND, &[]), None);
        assert_eq!(of("0::/a\n", "", &[]), None);
        let unlimited = "9223372036854771712\n";
        assert_eq!(of("4:memory:/a\n", FIRST, &[("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", unlimited)]), None);
    }

    #[test]
    fn the_first_version_has_a_tree_for_what_is_controlled() {
        let groups = "5:cpu,cpuacct:/busy\n4:hugetlb,memory:/a/b\n1:name=systemd:/\n0::/\n";
        let files = [
            ("/sys/fs/cgroup/cpu/busy/memory.limit_in_bytes", "1\n"),
            ("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "268435456\n"),
            ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(of(groups, FIRST, &files), Some(256 << 20));
    }

    /// With and without a namespace of its own a container's mount begins at its own group.
    #[test]
    fn a_container_sees_its_own_group_at_the_mount() {
        let mounted = SECOND.replace("0:26 / ", "0:26 /docker/4f2a ");
        let file = [("/sys/fs/cgroup/memory.max", "67108864\n")];
        assert_eq!(of("0::/\n", SECOND, &file), Some(64 << 20));
        assert_eq!(of("0::/docker/4f2a\n", &mounted, &file), Some(64 << 20));
        for mounts in [&mounted, SECOND] {
            let above = [file[0], ("/sys/fs/cgroup/../elsewhere/memory.max", "1\n")];
            assert_eq!(of("0::/../elsewhere\n", mounts, &above), Some(64 << 20), "nothing beyond the mount is read");
        }
    }

    #[test]
    fn of_processor_time_the_smallest_share_of_a_group_and_those_around_it_holds() {
        let groups = "0::/system.slice/aiclipx.service\n";
        let own = "/sys/fs/cgroup/system.slice/aiclipx.service/cpu.max";
        let around = "/sys/fs/cgroup/system.slice/cpu.max";
        assert_eq!(quota(groups, SECOND, &[(own, "50000 100000\n"), (around, "max 100000\n")]), Some(0.5));
        assert_eq!(quota(groups, SECOND, &[(own, "200000 100000\n"), (around, "30000 20000\n")]), Some(1.5));
        assert_eq!(quota(groups, SECOND, &[(own, "max 100000\n")]), None);
        assert_eq!(quota(groups, SECOND, &[(own, "100000 0\n")]), None, "no period divides");
        assert_eq!(quota("0::/\n", SECOND, &[("/sys/fs/cgroup/cpu.max", "25000 100000\n")]), Some(0.25), "a container");
    }

    #[test]
    fn in_the_first_version_quota_and_period_are_files_of_their_own() {
        let groups = "5:cpu,cpuacct:/a/b\n4:memory:/c\n0::/\n";
        let files = |quota| {
            [
                ("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", quota),
                ("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n"),
                ("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "400000\n"),
                ("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
                ("/sys/fs/cgroup/memory/c/cpu.cfs_quota_us", "1\n"),
                ("/sys/fs/cgroup/memory/c/cpu.cfs_period_us", "100000\n"),
            ]
        };
        assert_eq!(quota(groups, FIRST, &files("150000\n")), Some(1.5));
        assert_eq!(quota(groups, FIRST, &files("-1\n")), Some(4.0), "of its own it has none");
        assert_eq!(quota("4:memory:/c\n", FIRST, &files("150000\n")), None);
    }
}
