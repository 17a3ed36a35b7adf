//! `[discovery]`.

use serde::Deserialize;

use super::ConfigError;
use crate::announce::LONGEST_NAME;

/// Whether and as what the hub announces itself on its LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// It does, where it listens for more than this machine.
    pub announce: bool,
    /// The name for people; the host's when there is none.
    pub name: Option<String>,
}

impl Default for DiscoveryConfig {
    fn default() -> DiscoveryConfig {
        DiscoveryConfig { announce: true, name: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Discovery {
    announce: Option<bool>,
    name: Option<toml::Spanned<String>>,
}

impl Discovery {
    /// Checks it. `bad` makes the error of a place and what is wrong there.
    pub(super) fn read(self, bad: &impl Fn(usize, String) -> ConfigError) -> Result<DiscoveryConfig, ConfigError> {
        if let Some(name) = &self.name {
            let text = name.get_ref();
            if text.trim().is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
                let problem = format!("{text:?} is not a name of 1 to {LONGEST_NAME} bytes without control characters");
                return Err(bad(name.span().start, problem));
            }
        }
        Ok(DiscoveryConfig { announce: self.announce.unwrap_or(true), name: self.name.map(toml::Spanned::into_inner) })
    }
}
