//! The installed `zegod.toml` shows every key with its default: with the comments taken away it is the default.

#![allow(clippy::unwrap_used)] // a test that unwraps fails where it should

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zegod::config::Config;

fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/zegod.toml")
}

/// The installed file with every `#key = value` in force.
fn in_force() -> String {
    let text = std::fs::read_to_string(installed()).unwrap();
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = ") => rest.to_string(),
        _ => line.to_string(),
    };
    text.lines().map(uncommented).collect::<Vec<_>>().join("\n")
}

#[test]
fn as_installed_it_changes_nothing() {
    assert_eq!(Config::load(Some(&installed())).unwrap(), Config::default());
}

#[test]
fn the_defaults_that_it_shows_are_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zegod.toml");
    std::fs::write(&file, in_force()).unwrap();
    let mut config = Config::load(Some(&file)).unwrap();
    // What is left out follows the scenario; the file shows the values of the default one.
    let default = Config::default();
    let shown = (Some(640), Some(360), Some(15));
    assert_eq!((config.camera.width, config.camera.height, config.camera.fps), shown);
    assert_eq!((config.video.width, config.video.height, config.video.fps), shown);
    assert_eq!((config.video.bitrate_kbps, config.audio.bitrate_kbps), (Some(600), Some(48)));
    (config.camera.width, config.camera.height, config.camera.fps) = (None, None, None);
    (config.video.width, config.video.height, config.video.fps) = (None, None, None);
    (config.video.bitrate_kbps, config.audio.bitrate_kbps) = (None, None);
    assert_eq!(config, default);
}

#[test]
fn it_shows_every_key() {
    let shown: toml::Table = in_force().parse().unwrap();
    let shown: BTreeSet<String> = shown
        .iter()
        .flat_map(|(section, keys)| keys.as_table().unwrap().keys().map(move |key| format!("{section}.{key}")))
        .collect();
    // A key that is not known is refused, with the list of those that are: the list is the configuration's own.
    for section in ["engine", "room", "camera", "microphone", "speaker", "video", "audio", "network", "log"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zegod.toml");
        std::fs::write(&file, format!("[{section}]\nno_such_key = 1\n")).unwrap();
        let message = Config::load(Some(&file)).unwrap_err().to_string();
        let known: Vec<&str> = message.split('`').skip(1).step_by(2).filter(|key| *key != "no_such_key").collect();
        assert!(!known.is_empty(), "{message}");
        for key in known {
            assert!(shown.contains(&format!("{section}.{key}")), "[{section}] {key} is not shown");
        }
    }
}
