//! Who holds device nodes open.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The processes that have device nodes open, as one look at `/proc` found them.
///
/// Processes that this one may not look into are passed over: another user's, unless it has CAP_SYS_PTRACE. What ALSA tells
/// of a sound card's owner is world-readable, so a sound card is known to be busy in any case.
#[derive(Debug, Default)]
pub(super) struct Holders {
    others: HashMap<PathBuf, String>,
    /// What this process has open itself.
    own: HashSet<PathBuf>,
}

impl Holders {
    /// Looks at every process.
    pub(super) fn look() -> Self {
        let is_node = |path: &Path| path.starts_with("/dev");
        Self { others: find(is_node), own: open_files(Path::new("/proc/self")).filter(|path| is_node(path)).collect() }
    }

    /// The other process that has a node open, as `name (pid)`.
    pub(super) fn of(&self, node: &Path) -> Option<String> {
        let other = || pcm_owner(node, Path::new("/proc/asound"), self.own.contains(node));
        self.others.get(node).cloned().or_else(other)
    }
}

/// What a process has open.
fn open_files(process: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok())
}

/// Every open file of other processes for which `is_it` holds, and who has it.
fn find(is_it: impl Fn(&Path) -> bool) -> HashMap<PathBuf, String> {
    let own = std::process::id();
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == own {
            continue;
        }
        for target in open_files(&entry.path()).filter(|target| is_it(target)) {
            found.entry(target).or_insert_with(|| name_of(pid));
        }
    }
    found
}

/// `name (pid)`, or without a name when it is not to be seen.
fn name_of(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} ({pid})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

/// What ALSA says of the owner of `/dev/snd/pcmC1D0p`: `card1/pcm0p/sub*/status` names the thread that opened it, for as long as
/// it is open. One that has ended meanwhile was one of ours, if this process has the node open (`is_ours`).
fn pcm_owner(node: &Path, asound: &Path, is_ours: bool) -> Option<String> {
    let name = node.file_name()?.to_str()?.strip_prefix("pcmC")?;
    let (card, device) = name.split_once('D')?;
    let own = std::process::id();
    let streams = fs::read_dir(asound.join(format!("card{card}")).join(format!("pcm{device}"))).ok()?;
    let pid = streams.flatten().find_map(|stream| {
        let status = fs::read_to_string(stream.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("owner_pid"))?;
        let pid: u32 = line.trim_start_matches([' ', ':']).trim().parse().ok()?;
        let has_ended = || !Path::new("/proc").join(pid.to_string()).exists();
        (pid != own && !is_own_thread(pid) && !(is_ours && has_ended())).then_some(pid)
    })?;
    Some(name_of(pid))
}

fn is_own_thread(pid: u32) -> bool {
    Path::new("/proc/self/task").join(pid.to_string()).exists()
}

/// The first other process that has a node open for which `is_it` holds, or words for the case that it cannot be told.
pub(super) fn holder_or_another(is_it: impl Fn(&Path) -> bool) -> String {
    find(is_it).into_values().next().unwrap_or_else(|| "another program".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_program_that_holds_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let held = |target: &Path| target == path;
        assert!(find(held).is_empty(), "this process does not count");
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::from(file.reopen().unwrap())).spawn().unwrap();
        let found = find(held).remove(&path);
        let expected = format!("sleep ({})", child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some(expected));
        assert_eq!(holder_or_another(held), "another program");
    }

    #[test]
    fn alsa_names_the_owner_of_a_pcm() {
        let asound = tempfile::tempdir().unwrap();
        let node = Path::new("/dev/snd/pcmC1D0p");
        let status = |stream: &str, text: &str| {
            let folder = asound.path().join("card1/pcm0p").join(stream);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("status"), text).unwrap();
        };
        let owner = || pcm_owner(node, asound.path(), false);
        assert_eq!(owner(), None, "no such card");
        status("sub0", "closed\n");
        assert_eq!(owner(), None);
        status("sub1", "state: RUNNING\nowner_pid   : 999999999\ntrigger_time: 1.2\n");
        assert_eq!(owner().as_deref(), Some("process 999999999"));
        assert_eq!(pcm_owner(node, asound.path(), true), None, "a thread of ours that has ended");
        status("sub1", &format!("state: RUNNING\nowner_pid   : {}\n", std::process::id()));
        assert_eq!(owner(), None, "this process does not count");
        assert_eq!(pcm_owner(Path::new("/dev/video0"), asound.path(), false), None);
    }
}
