//! Which certificates of servers are believed, and what is said about those that are not.
//!
//! Without a pin the system's authorities count. A pin is an authority's file, a fingerprint, or both, and then both must fit. A
//! fingerprint is that of the server's own certificate, which then needs neither the right name nor a date (RFC 7671, section 5.1), or of
//! an authority that the server sends along: then name and dates count (section 5.2).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::fingerprint::Fingerprint;

/// What the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM file of the authorities that count instead of the system's.
    pub authority: Option<PathBuf>,
    /// A certificate that must be the server's own, or an authority that it sends along.
    pub fingerprint: Option<Fingerprint>,
}

impl Trust {
    /// Whether it is known whom to trust.
    #[must_use]
    pub const fn is_pinned(&self) -> bool {
        self.authority.is_some() || self.fingerprint.is_some()
    }
}

/// Why certificates cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The authority's file.
    #[error("[room] authority {file}: {problem}; it has to be a PEM file that zegod may read")]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no authority on this machine.
    #[error("this machine trusts no authority; install the package ca-certificates, or set [room] authority")]
    NoAuthority,
    /// The library.
    #[error("TLS cannot be used: {0}")]
    Library(String),
}

/// What was wrong with a certificate, for whoever hears only that the connection failed.
#[derive(Clone, Debug, Default)]
pub struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    /// What to do about it.
    pub const ADVICE: &'static str = "if that is the server's, as its administrator can tell, set [room] fingerprint to it, or [room] \
                                      authority to its authority's file";

    /// What was wrong, if something was: a sentence without its end. [`Complaint::ADVICE`] says what to do.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

/// Checks the certificates of one attempt.
#[derive(Debug)]
pub struct Checker {
    provider: Arc<CryptoProvider>,
    /// The authorities that count; nothing when only a fingerprint does.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    fingerprint: Option<Fingerprint>,
    complaint: Complaint,
}

impl Checker {
    /// One that believes what `trust` says, and tells `complaint` what is wrong with a certificate.
    ///
    /// # Errors
    /// An authority's file that cannot be read, or a machine that trusts nobody.
    pub fn new(trust: &Trust, complaint: Complaint) -> Result<Self, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let authorities = match (&trust.authority, trust.fingerprint) {
            (Some(file), _) => {
                let fail = |problem: String| TrustError::Authority { file: file.clone(), problem };
                let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
                    .and_then(Iterator::collect)
                    .map_err(|error| fail(error.to_string()))?;
                if certificates.is_empty() {
                    return Err(fail("there is no certificate in it".to_owned()));
                }
                Some(verifier(&provider, certificates).map_err(|error| fail(error.to_string()))?)
            }
            (None, Some(_)) => None,
            (None, None) => {
                let system = rustls_native_certs::load_native_certs();
                if system.certs.is_empty() {
                    return Err(TrustError::NoAuthority);
                }
                Some(verifier(&provider, system.certs).map_err(|error| TrustError::Library(error.to_string()))?)
            }
        };
        Ok(Self { provider, authorities, fingerprint: trust.fingerprint, complaint })
    }

    /// One that believes nobody, for connections without TLS.
    #[must_use]
    pub fn nobody() -> Self {
        let provider = Arc::new(ring::default_provider());
        Self { provider, authorities: None, fingerprint: None, complaint: Complaint::default() }
    }

    /// The client's settings of TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// The library's.
    pub fn into_config(self) -> Result<ClientConfig, TrustError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Library(error.to_string()))?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(self)).with_no_client_auth();
        // WebSocket begins as HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Whether the certificate is one to believe; if not, what is wrong with it.
    fn check(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), String> {
        if let Some(authorities) = &self.authorities {
            let checked = authorities.verify_server_cert(own, others, name, &[], now);
            checked.map_err(|error| wrong(&error))?;
        } else if self.fingerprint.is_none() {
            return Err("nobody is trusted".to_owned());
        }
        let Some(wanted) = self.fingerprint else { return Ok(()) };
        if Fingerprint::of(own) == wanted {
            return Ok(());
        }
        let Some(authority) = others.iter().find(|other| Fingerprint::of(other) == wanted) else {
            return Err(format!("neither it nor an authority of it is {wanted}, as [room] fingerprint demands"));
        };
        let verifier = verifier(&self.provider, [authority.clone().into_owned()]).map_err(|error| wrong(&error))?;
        verifier.verify_server_cert(own, others, name, &[], now).map(|_| ()).map_err(|error| wrong(&error))
    }
}

fn verifier(
    provider: &Arc<CryptoProvider>,
    authorities: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().map_err(|error| Error::General(error.to_string()))
}

/// What the library says is wrong.
fn wrong(error: &Error) -> String {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer};
    match error {
        Error::InvalidCertificate(UnknownIssuer) => "its authority is not one that this device trusts".to_owned(),
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "it has expired, or the clock is wrong".to_owned()
        }
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "it is not valid yet, or the clock is wrong".to_owned()
        }
        Error::InvalidCertificate(other) => other.to_string(),
        other => other.to_string(),
    }
}

impl ServerCertVerifier for Checker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Err(problem) = self.check(end_entity, intermediates, server_name, now) else {
            return Ok(ServerCertVerified::assertion());
        };
        let shown = Fingerprint::of(end_entity);
        let authority = match intermediates.last() {
            Some(last) => format!(", its authority is {}", Fingerprint::of(last)),
            None => String::new(),
        };
        self.complaint.set(format!(
            "the certificate of {} is not trusted: {problem}; it is {shown}{authority}",
            server_name.to_str()
        ));
        Err(Error::General("the certificate is not trusted".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
