//! How much memory this process may still take.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that this process can take: of the machine, of its control groups and of its own limits, whichever are
/// least. `None` where the system does not say.
pub fn free_memory() -> Option<u64> {
    FreeMemory::now().of_one(1, 0)
}

/// Bytes that can be taken, where the system says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FreeMemory {
    /// By all processes of this machine and of this one's control groups.
    pub together: Option<u64>,
    /// By this process, by its own limits.
    pub own: Option<u64>,
}

impl FreeMemory {
    /// What each of `alike` processes can take that take as much as the others at the same time, where others take `beside`.
    pub fn of_one(self, alike: u64, beside: u64) -> Option<u64> {
        let share = |free: u64| free.saturating_sub(beside) / alike.max(1);
        [self.together.map(share), self.own]
            .into_iter()
            .flatten()
            .min()
    }

    /// What there is now.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let machine = fs::read_to_string("/proc/meminfo").ok();
        let machine = machine.and_then(|text| kib(&text, "MemAvailable:"));
        let limited = |limit: &str, used: &str| {
            let limit = limit_of(&limits, limit)?;
            Some(limit.saturating_sub(kib(&status, used).unwrap_or(0)))
        };
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let groups = of_groups(&groups, Path::new("/sys/fs/cgroup"));
        let limits = [
            limited("Max address space", "VmSize:"),
            limited("Max data size", "VmData:"),
        ];
        let least = |of: [Option<u64>; 2]| of.into_iter().flatten().min();
        Self {
            together: least([machine, groups]),
            own: least(limits),
        }
    }
}

/// Bytes of main memory that this process holds; `None` where the system does not say.
pub(crate) fn held_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib(&status, "VmRSS:")
}

/// The value of a line `KEY   123 kB`, in bytes.
fn kib(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let value: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    value.checked_mul(1024)
}

/// The soft limit in a line of `/proc/self/limits`; `None` for unlimited.
fn limit_of(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What is left in the control groups, of either version, in `groups` (`/proc/self/cgroup`) and in those above them.
fn of_groups(groups: &str, root: &Path) -> Option<u64> {
    let left = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let (folder, names) = match controllers {
            "" => (root.to_path_buf(), ["memory.max", "memory.current"]),
            _ if controllers.split(',').any(|name| name == "memory") => {
                let names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
                (root.join("memory"), names)
            }
            _ => return None,
        };
        let group = folder.join(group.trim_start_matches('/'));
        let up = group
            .ancestors()
            .take_while(|path| path.starts_with(&folder));
        up.filter_map(|group| left_in(group, names)).min()
    });
    left.min()
}

/// What is left in one group; files that it has read count as free, as the system gives their memory back.
fn left_in(group: &Path, [limit, used]: [&str; 2]) -> Option<u64> {
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let number = |name: &str| read(group.join(name))?.trim().parse::<u64>().ok();
    let stat = read(group.join("memory.stat")).unwrap_or_default();
    // The first version tells what groups below it have apart from what they have in all.
    let cached = ["total_inactive_file ", "inactive_file "].map(|name| {
        let value = stat.lines().find_map(|line| line.strip_prefix(name))?;
        value.parse::<u64>().ok()
    });
    let cached = cached.into_iter().flatten().next().unwrap_or(0);
    let used = number(used)?.saturating_sub(cached);
    Some(number(limit)?.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A tree of control groups: of each folder the files and what they hold.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_of_a_group_and_those_above_it_counts() {
        let root = tree(&[
            ("job/memory.max", "4194304\n"),
            ("job/memory.current", "2097152\n"),
            ("job/memory.stat", "anon 5\ninactive_file 1048576\n"),
            ("job/step/memory.max", "max\n"),
            ("job/step/memory.current", "1048576\n"),
        ]);
        let got = of_groups("0::/job/step\n", root.path());
        assert_eq!(got, Some(3 * MIB));
        assert_eq!(of_groups("0::/elsewhere\n", root.path()), None);
    }

    #[test]
    fn groups_of_the_first_version_are_read() {
        let root = tree(&[
            ("memory/a/memory.limit_in_bytes", "8388608\n"),
            ("memory/a/memory.usage_in_bytes", "3145728\n"),
            (
                "memory/a/memory.stat",
                "inactive_file 7\ntotal_inactive_file 1048576\n",
            ),
        ]);
        let groups = "9:name=systemd:/\n4:cpu,memory:/a\n0::/\n";
        assert_eq!(of_groups(groups, root.path()), Some(6 * MIB));
    }

    #[test]
    fn limits_and_counts_are_read_as_the_system_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max data size             unlimited            unlimited            bytes     \n\
                      Max address space         4294967296           unlimited            bytes     \n";
        assert_eq!(limit_of(limits, "Max address space"), Some(4096 * MIB));
        assert_eq!(limit_of(limits, "Max data size"), None);
        let status = "VmPeak:\t    2048 kB\nVmSize:\t    1024 kB\n";
        assert_eq!(kib(status, "VmSize:"), Some(MIB));
    }

    #[test]
    fn processes_share_the_machine_and_each_has_its_own_limits() {
        let free = FreeMemory {
            together: Some(100 * MIB),
            own: Some(40 * MIB),
        };
        for (alike, beside, want) in [(1, 0, 40), (2, 0, 40), (4, 0, 25), (1, 70, 30), (1, 200, 0)]
        {
            let got = free.of_one(alike, beside * MIB).map(|bytes| bytes / MIB);
            assert_eq!(got, Some(want), "{alike} alike, {beside} MiB beside");
        }
        assert_eq!(FreeMemory::default().of_one(4, 0), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_says_how_much_is_free() {
        let got = free_memory();
        assert!(got.is_some_and(|free| free > MIB), "got {got:?}");
    }
}
