//! How much memory the process may have: the limit of its control group, beyond which the kernel ends it.
//!
//! Linux tells it in files. Each group up to the root may have a limit, and the smallest holds; of groups beyond its own
//! namespace a process sees nothing. Where there is no group, no limit, or no such kernel, there is none.

use std::path::{Component, Path, PathBuf};

/// The first version tells no limit by as many whole pages as a signed number of bytes holds. No machine has half of that.
const UNLIMITED: u64 = 1 << 62;

/// The limit in bytes, as it is now: it may be changed while the process runs.
pub(super) fn limit() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    smallest(&read(Path::new("/proc/self/cgroup"))?, &read(Path::new("/proc/self/mountinfo"))?, read)
}

/// The smallest limit of the groups that a process is in, by its `cgroup` and `mountinfo` of proc(5).
fn smallest(groups: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let mut limits = Vec::new();
    for group in groups.lines() {
        // Its number, what is controlled (of the second version nothing is said), its path.
        let mut fields = group.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (kind, file) = match controllers {
            "" => ("cgroup2", "memory.max"),
            _ if has(controllers, "memory") => ("cgroup", "memory.limit_in_bytes"),
            _ => continue,
        };
        let mount =
            mounts.iter().find(|mount| mount.kind == kind && (kind == "cgroup2" || has(mount.options, "memory")));
        let Some(mount) = mount else { continue };
        let folder = mount.folder_of(path);
        let above = folder.ancestors().take_while(|folder| folder.starts_with(mount.point));
        limits.extend(above.filter_map(|folder| read(&folder.join(file))?.trim().parse::<u64>().ok()));
    }
    limits.into_iter().filter(|limit| *limit < UNLIMITED).min()
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

    fn of(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
        smallest(groups, mounts, |path| files.get(path).map(|text| (*text).to_owned()))
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
}
