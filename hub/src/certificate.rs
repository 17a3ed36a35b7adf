//! The certificate that the hub shows: read from its files, and read again when they change, so that renewing one needs no restart.

mod own;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::rustls;
use zego_protocol::fingerprint::Fingerprint;

pub use own::{names, own};

/// The files are looked at no more often than this.
const LOOK: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {problem}; it has to be a PEM file that zegohub may read")]
    Read {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no certificate in the file.
    #[error(
        "{0}: there is no certificate in it; it has to be a PEM file with the certificate and those between it and the authority"
    )]
    Empty(PathBuf),
    /// Key and certificate do not belong together.
    #[error("{key} is not the key of {certificate}: {problem}")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        problem: String,
    },
    /// An own certificate cannot be kept.
    #[error("{file}: cannot be kept: {source}")]
    Write {
        /// The file.
        file: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// An own certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// What is to be offered cannot be.
    #[error("TLS cannot be offered: {0}")]
    Offer(#[from] rustls::Error),
}

/// The fingerprint of the first certificate in a PEM file.
///
/// # Errors
/// [`CertificateError::Read`].
pub fn fingerprint(file: &Path) -> Result<Fingerprint, CertificateError> {
    let unreadable = |error: rustls::pki_types::pem::Error| CertificateError::Read {
        file: file.to_owned(),
        problem: error.to_string(),
    };
    CertificateDer::from_pem_file(file).map(|certificate| Fingerprint::of(&certificate)).map_err(unreadable)
}

/// Settings of TLS 1.2 and 1.3 with the certificate of two PEM files.
///
/// # Errors
/// The files cannot be used now. Later they may be wrong for a while: what was read last stays in use.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CertificateError> {
    let provider = Arc::new(ring::default_provider());
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let shown = Shown { key: files.read(&provider)?, stamp: files.stamp(), looked: Instant::now() };
    let resolver = Resolver { files, provider: Arc::clone(&provider), shown: Mutex::new(shown) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    // WebSocket begins as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, CertificateError> {
        let unreadable = |file: &Path, problem: String| CertificateError::Read { file: file.to_owned(), problem };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(CertificateError::Empty(self.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unreadable(&self.key, error.to_string()))?;
        let fits = CertifiedKey::from_der(chain, key, provider);
        fits.map(Arc::new).map_err(|error| CertificateError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            problem: error.to_string(),
        })
    }

    /// When they were written.
    fn stamp(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|file| std::fs::metadata(file).and_then(|about| about.modified()).ok())
    }
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    stamp: [Option<SystemTime>; 2],
    looked: Instant,
}

#[derive(Debug)]
struct Resolver {
    files: Files,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Shown>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.looked.elapsed() >= LOOK {
            shown.looked = Instant::now();
            let stamp = self.files.stamp();
            if stamp != shown.stamp {
                shown.stamp = stamp;
                match self.files.read(&self.provider) {
                    Ok(key) => {
                        log::info!("{}: the new certificate is in use", self.files.certificate.display());
                        shown.key = key;
                    }
                    // Halfway through its renewal: the next change is looked at again.
                    Err(error) => log::warn!("{error}; the one before stays in use"),
                }
            }
        }
        Some(Arc::clone(&shown.key))
    }
}
