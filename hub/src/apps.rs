//! The AppID that the hub makes for itself when none is configured.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zego_protocol::token::App;

use crate::kept;

/// Why there is no AppID.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// The file cannot be read or written.
    #[error(
        "{path}: {source}; the hub keeps its AppID there, set ZEGOHUB_STATE_DIRECTORY to a directory that it may write"
    )]
    State {
        /// File or directory.
        path: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The file is damaged.
    #[error("{path}: {problem}; repair it, or remove it to get a new AppID")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No random numbers.
    #[error("the system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The hub's own AppID.
#[derive(Debug)]
pub struct OwnApp {
    /// AppID and secret.
    pub app: App,
    /// Where it is kept.
    pub path: PathBuf,
    /// It was made just now.
    pub is_new: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    id: u32,
    secret: String,
}

/// Where the hub keeps its state: `ZEGOHUB_STATE_DIRECTORY`, `STATE_DIRECTORY` (which systemd sets), or the place
/// that is usual for the user.
pub fn state_directory(environment: impl Fn(&str) -> Option<String>, is_root: bool) -> PathBuf {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ZEGOHUB_STATE_DIRECTORY")
        // systemd lists several directories with colons.
        .or_else(|| environment("STATE_DIRECTORY")?.split(':').next().filter(|d| !d.is_empty()).map(PathBuf::from))
        .or_else(|| is_root.then(|| PathBuf::from("/var/lib/zegohub")))
        .or_else(|| set("XDG_STATE_HOME").map(|home| home.join("zegohub")))
        .or_else(|| set("HOME").map(|home| home.join(".local/state/zegohub")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/zegohub"))
}

/// The AppID kept in `directory`, made there at the first time.
pub fn own(directory: &Path) -> Result<OwnApp, AppsError> {
    let path = directory.join("app.toml");
    let fail = |source| AppsError::State { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let kept: Kept = toml::from_str(&text)
                .map_err(|error| AppsError::Damaged { path: path.clone(), problem: error.message().to_owned() })?;
            Ok(OwnApp { app: App::new(kept.id.to_string(), kept.secret), path, is_new: false })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let kept = make()?;
            fs::create_dir_all(directory).map_err(fail)?;
            write(&path, &kept).map_err(fail)?;
            Ok(OwnApp { app: App::new(kept.id.to_string(), kept.secret), path, is_new: true })
        }
        Err(error) => Err(fail(error)),
    }
}

fn make() -> Result<Kept, AppsError> {
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes).map_err(AppsError::Random)?;
    // ZEGO's AppIDs are numbers of nine or ten digits, its secrets 32 hexadecimal characters.
    let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let id = 100_000_000 + number % 3_900_000_000;
    let secret = bytes[4..].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Kept { id, secret })
}

fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let text = format!(
        "# The AppID that zegohub made for itself. Whoever knows the secret can enter every room.\nid = {}\nsecret = \"{}\"\n",
        kept.id, kept.secret
    );
    kept::write(path, &text, kept::SECRET)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_app_is_made_once_and_is_nobody_elses_business() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path().join("state");
        let first = own(&directory).expect("made");
        assert!(first.is_new);
        assert_eq!(first.app.secret.len(), 32);
        assert!(first.app.number().is_some());
        let mode = fs::metadata(&first.path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = own(&directory).expect("kept");
        assert!(!again.is_new);
        assert_eq!(again.app, first.app);
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("app.toml"), "id = 5\nsecrt = \"x\"\n").expect("written");
        let error = own(directory.path()).expect_err("damaged").to_string();
        assert!(error.contains("app.toml") && error.contains("secrt"), "{error}");
    }

    #[test]
    fn the_directory_is_chosen_by_the_environment_then_by_custom() {
        let with = |set: &'static [(&str, &str)], root| {
            let find = move |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
            state_directory(find, root).display().to_string()
        };
        assert_eq!(with(&[("ZEGOHUB_STATE_DIRECTORY", "/a"), ("STATE_DIRECTORY", "/b")], true), "/a");
        assert_eq!(with(&[("STATE_DIRECTORY", "/b:/c")], true), "/b");
        assert_eq!(with(&[("HOME", "/home/u")], true), "/var/lib/zegohub");
        assert_eq!(with(&[("HOME", "/home/u")], false), "/home/u/.local/state/zegohub");
        assert_eq!(with(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")], false), "/s/zegohub");
    }
}
