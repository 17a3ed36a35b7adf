//! `[turn]`: where clients may have their media relayed.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::turn::{Credentials, TurnServer};

/// Credentials are good for a day, unless configured.
const TTL_S: i64 = 86_400;
/// At least a minute, at most thirty days.
const TTLS_S: std::ops::RangeInclusive<i64> = 60..=2_592_000;

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    urls: Vec<toml::Spanned<String>>,
    secret: Option<String>,
    ttl_s: Option<toml::Spanned<i64>>,
    username: Option<String>,
    password: Option<String>,
}

impl Turn {
    /// What the table at `at` means; `bad` makes a fault of a place and a sentence.
    pub(super) fn read(self, at: usize, bad: &dyn Fn(usize, String) -> ConfigError) -> Result<TurnServer, ConfigError> {
        let scheme = |url: &str| url.split_once(':').filter(|(_, rest)| !rest.is_empty()).map(|(s, _)| s.to_owned());
        let mut relays = false;
        for url in &self.urls {
            match scheme(url.get_ref()).as_deref() {
                Some("turn" | "turns") => relays = true,
                Some("stun" | "stuns") => {}
                _ => {
                    let problem = format!("{:?} is not an address such as \"turn:turn.example:3478\"", url.get_ref());
                    return Err(bad(url.span().start, problem));
                }
            }
        }
        let ttl = match &self.ttl_s {
            Some(given) if !TTLS_S.contains(given.get_ref()) => {
                return Err(bad(
                    given.span().start,
                    format!("{} is not a time from 60 to 2592000 seconds", given.get_ref()),
                ));
            }
            given => given.as_ref().map_or(TTL_S, |given| *given.get_ref()),
        };
        let credentials = match (self.secret, self.username, self.password) {
            (Some(secret), None, None) if relays && !secret.is_empty() => {
                Credentials::Secret { secret, ttl: Duration::from_secs(ttl.unsigned_abs()) }
            }
            (None, Some(username), Some(password)) if relays && self.ttl_s.is_none() => {
                Credentials::Fixed { username, password }
            }
            (None, None, None) if !relays && self.ttl_s.is_none() && !self.urls.is_empty() => Credentials::None,
            _ => {
                let wanted =
                    "set urls, and for turn: either secret (and ttl_s, if it is not a day) or username and password";
                return Err(bad(at, wanted.to_owned()));
            }
        };
        Ok(TurnServer { urls: self.urls.into_iter().map(toml::Spanned::into_inner).collect(), credentials })
    }
}
