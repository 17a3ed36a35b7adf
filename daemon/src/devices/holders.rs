//! Who holds a device node open.

use std::fs;
use std::path::Path;

/// The first other process that has a node open for which `is_it` holds, as `name (pid)`. Processes that this one may not look
/// into (another user's) are passed over.
pub(super) fn holder(is_it: impl Fn(&Path) -> bool) -> Option<String> {
    let own = std::process::id();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        if pid == own {
            return None;
        }
        let open = fs::read_dir(entry.path().join("fd")).ok()?;
        open.flatten().find(|file| fs::read_link(file.path()).is_ok_and(|target| is_it(&target)))?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(format!("{} ({pid})", name.trim_end()))
    })
}

/// As [`holder`], with words for the case that it cannot be told.
pub(super) fn holder_or_another(is_it: impl Fn(&Path) -> bool) -> String {
    holder(is_it).unwrap_or_else(|| "another program".to_owned())
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
        assert_eq!(holder(held), None, "this process does not count");
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::from(file.reopen().unwrap())).spawn().unwrap();
        let found = holder(held);
        let expected = format!("sleep ({})", child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some(expected));
        assert_eq!(holder_or_another(held), "another program");
    }
}
