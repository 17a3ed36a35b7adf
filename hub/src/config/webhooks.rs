//! `[[webhook]]`: who is told what happens in rooms.

use reqwest::Url;
use serde::Deserialize;
use zego_protocol::token::App;

use super::{AppId, ConfigError};
use crate::webhooks::WebhookConfig;

/// One table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    url: toml::Spanned<String>,
    app: Option<toml::Spanned<AppId>>,
}

impl Webhook {
    /// Checks it against the AppIDs. `bad` makes the error of a place and what is wrong there.
    pub fn read(self, apps: &[App], bad: &dyn Fn(usize, String) -> ConfigError) -> Result<WebhookConfig, ConfigError> {
        let at = self.url.span().start;
        let url = Url::parse(self.url.get_ref()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url =
            url.ok_or_else(|| bad(at, format!("{:?} is not an http:// or https:// address", self.url.get_ref())))?;
        let app = self.app.as_ref().map(|app| app.get_ref().text());
        if let (Some(id), Some(given)) = (&app, &self.app)
            && !apps.iter().any(|known| known.id == *id)
        {
            return Err(bad(given.span().start, format!("there is no [[app]] with id {id}")));
        }
        if app.is_none() && apps.len() > 1 {
            return Err(bad(at, "there are several AppIDs: say whose rooms it is told of, by app".to_owned()));
        }
        Ok(WebhookConfig { url, app })
    }
}
