//! `[room]`: what rooms are like.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::rooms::RoomSettings;

/// Longest time that a room waits, in seconds: a week.
const LONGEST_S: i64 = 604_800;

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Room {
    auto_create: Option<bool>,
    remote_unmute: Option<bool>,
    empty_timeout_s: Option<toml::Spanned<i64>>,
    departure_timeout_s: Option<toml::Spanned<i64>>,
    max_participants: Option<toml::Spanned<i64>>,
}

impl Room {
    /// Checks it. `bad` makes the error of a place and what is wrong there.
    pub fn read(self, bad: &dyn Fn(usize, String) -> ConfigError) -> Result<RoomSettings, ConfigError> {
        let mut settings = RoomSettings::default();
        settings.auto_create = self.auto_create.unwrap_or(settings.auto_create);
        settings.remote_unmute = self.remote_unmute.unwrap_or(settings.remote_unmute);
        let time = |given: Option<toml::Spanned<i64>>, own: Duration| match given {
            None => Ok(own),
            Some(given) => match u64::try_from(*given.get_ref()) {
                Ok(seconds) if *given.get_ref() <= LONGEST_S => Ok(Duration::from_secs(seconds)),
                _ => {
                    let problem = format!("{} is not a time from 0 to {LONGEST_S} seconds", given.get_ref());
                    Err(bad(given.span().start, problem))
                }
            },
        };
        settings.options.empty_timeout = time(self.empty_timeout_s, settings.options.empty_timeout)?;
        settings.options.departure_timeout = time(self.departure_timeout_s, settings.options.departure_timeout)?;
        if let Some(most) = self.max_participants {
            let problem =
                |_| bad(most.span().start, format!("{} is not a number of people, 0 = no limit", most.get_ref()));
            settings.options.max_participants = u32::try_from(*most.get_ref()).map_err(problem)?;
        }
        Ok(settings)
    }
}
