//! `[limits]`: how much one client, or one address, may ask for.

use serde::Deserialize;

use super::ConfigError;
use crate::limits::Limits;

/// The largest number that makes sense anywhere here.
const MOST: i64 = 1_000_000;

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    connections_per_address: Option<toml::Spanned<i64>>,
    requests_per_address: Option<toml::Spanned<i64>>,
    joins_per_user: Option<toml::Spanned<i64>>,
    messages_per_client: Option<toml::Spanned<i64>>,
    data_kib_per_participant: Option<toml::Spanned<i64>>,
    tracks_per_participant: Option<toml::Spanned<i64>>,
    participants_per_app: Option<toml::Spanned<i64>>,
}

impl LimitsTable {
    /// Checks it. `bad` makes the error of a place and what is wrong there.
    pub fn read(self, bad: &dyn Fn(usize, String) -> ConfigError) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        for (given, least, limit) in [
            (self.connections_per_address, 1, &mut limits.connections_per_address),
            (self.requests_per_address, 1, &mut limits.requests_per_address),
            (self.joins_per_user, 1, &mut limits.joins_per_user),
            (self.messages_per_client, 1, &mut limits.messages_per_client),
            (self.data_kib_per_participant, 1, &mut limits.data_kib_per_participant),
            (self.tracks_per_participant, 1, &mut limits.tracks_per_participant),
            (self.participants_per_app, 0, &mut limits.participants_per_app),
        ] {
            let Some(given) = given else { continue };
            let (at, number) = (given.span().start, *given.get_ref());
            match u32::try_from(number) {
                Ok(good) if (least..=MOST).contains(&number) => *limit = good,
                _ => return Err(bad(at, format!("{number} is not a number from {least} to {MOST}"))),
            }
        }
        Ok(limits)
    }
}
