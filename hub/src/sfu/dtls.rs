//! DTLS by OpenSSL, for clients whose certificate has an RSA key: str0m's own DTLS knows EC keys only.

mod connection;
mod datagrams;
mod records;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::X509;
use str0m::DATAGRAM_MTU_TARGET;
use str0m::crypto::dtls::{DtlsCert, DtlsInstance, DtlsProvider, DtlsVersion};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

use connection::Connection;
use datagrams::Datagrams;

/// What a client may choose of: what RFC 8827 (section 6.5) has everybody know, its like for RSA, and both with longer keys.
/// `records.rs` goes by the length of their tags.
const CIPHERS: &str = "ECDHE+AESGCM";
/// How media may be encrypted, best first: what str0m knows (RFC 5764 section 4.1.2, RFC 7714).
const SRTP_PROFILES: &str = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";

static OPENSSL: LazyLock<Result<OpenSsl, ErrorStack>> = LazyLock::new(OpenSsl::new);

/// str0m's cryptography with the DTLS of OpenSSL, for [`RtcConfig::set_crypto_provider`](str0m::RtcConfig::set_crypto_provider).
pub fn provider() -> Result<Arc<CryptoProvider>, OpenSslError> {
    let openssl = OPENSSL.as_ref().map_err(|error| OpenSslError(error.clone()))?;
    Ok(Arc::new(CryptoProvider { dtls_provider: openssl, ..from_feature_flags() }))
}

/// OpenSSL lacks something that is needed, by its build or its configuration.
#[derive(Debug, thiserror::Error)]
#[error("OpenSSL offers no DTLS: {0}")]
pub struct OpenSslError(ErrorStack);

/// What all connections have in common.
#[derive(Debug)]
struct OpenSsl {
    context: SslContext,
    /// Makes the hub's certificates: as good with an EC key here.
    certificates: &'static dyn DtlsProvider,
}

impl OpenSsl {
    fn new() -> Result<OpenSsl, ErrorStack> {
        let mut context = SslContextBuilder::new(SslMethod::dtls())?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_cipher_list(CIPHERS)?;
        context.set_tlsext_use_srtp(SRTP_PROFILES)?;
        // Who the client is says the fingerprint in its description, which str0m compares (RFC 8122): nothing that signed the
        // certificate makes it better, so any is good here, and no chain is followed.
        context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        context.set_verify_depth(0);
        // Nothing that outlives a connection is kept for a client, nor does it make the hub compute anew in the midst of one.
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_options(SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION);
        // It has no socket to ask.
        context.set_options(SslOptions::NO_QUERY_MTU);
        context.set_mode(SslMode::RELEASE_BUFFERS);
        Ok(OpenSsl { context: context.build(), certificates: from_feature_flags().dtls_provider })
    }

    fn connection(&self, certificate: &DtlsCert, now: Instant, mtu: usize) -> Result<Connection, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_certificate(X509::from_der(&certificate.certificate)?.as_ref())?;
        ssl.set_private_key(PKey::private_key_from_der(&certificate.private_key)?.as_ref())?;
        // No link has more: 64 KiB.
        ssl.set_mtu(u32::from(u16::try_from(mtu).unwrap_or(u16::MAX)))?;
        Ok(Connection::new(SslStream::new(ssl, Datagrams::default())?, now))
    }
}

impl DtlsProvider for OpenSsl {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.certificates.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        // The hub asks for no other than 1.2, and OpenSSL 3 has none.
        _: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        match self.connection(certificate, now, mtu.unwrap_or(DATAGRAM_MTU_TARGET)) {
            Ok(connection) => Ok(Box::new(connection)),
            Err(error) => Err(CryptoError::Other(error.to_string())),
        }
    }
}
