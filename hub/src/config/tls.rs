//! `[tls]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// How the hub speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// What it shows.
    pub certificate: CertificateSource,
    /// Other machines may speak without TLS, too.
    pub plain: bool,
}

/// Where its certificate is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files of the operator's.
    Files {
        /// The certificate and those between it and the authority.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// Made by the hub for its names on the LAN and these.
    Own {
        /// Further names.
        names: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    own: Option<bool>,
    names: Option<Vec<String>>,
    plain: Option<bool>,
}

impl Tls {
    /// What the table at `at` means; `bad` makes a fault of a place and a sentence.
    pub(super) fn read(self, at: usize, bad: &impl Fn(usize, String) -> ConfigError) -> Result<TlsConfig, ConfigError> {
        let certificate = match (self.own.unwrap_or(false), self.certificate, self.key) {
            (false, Some(certificate), Some(key)) if self.names.is_none() => {
                CertificateSource::Files { certificate, key }
            }
            (true, None, None) => {
                let names = self.names.unwrap_or_default();
                let is_name = |name: &String| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
                };
                if let Some(name) = names.iter().find(|name| !is_name(name)) {
                    return Err(bad(at, format!("{name:?} is not a host name, such as \"door.example\"")));
                }
                CertificateSource::Own { names }
            }
            _ => {
                let wanted = "set either certificate and key (PEM files), or own = true (and names, if there are more)";
                return Err(bad(at, wanted.to_owned()));
            }
        };
        Ok(TlsConfig { certificate, plain: self.plain.unwrap_or(false) })
    }
}
