//! The fingerprint of a certificate: the SHA-256 of its DER encoding, as browsers and openssl show it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// What stands in front of the digits.
const PREFIX: &str = "sha256:";

/// A fingerprint. Written as `sha256:` and 64 hexadecimal digits; read with or without the prefix, capitals and colons.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no fingerprint; allowed are sha256: and 64 hexadecimal digits");
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix(PREFIX).unwrap_or(&lower);
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
            // Two digits of four bits.
            *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_fingerprint_comes_back_as_it_was(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(Fingerprint(bytes).to_string().parse(), Ok(Fingerprint(bytes)));
        }

        #[test]
        fn noise_is_refused_or_read(text in "(sha256:)?[0-9A-Fa-f:é ]{0,100}") {
            if let Ok(read) = text.parse::<Fingerprint>() {
                prop_assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }

    /// SHA-256 of nothing, FIPS 180-4.
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn fingerprints_are_read_as_tools_write_them() {
        let nothing = Fingerprint::of(b"");
        assert_eq!(nothing.to_string(), format!("sha256:{NOTHING}"));
        let bytes: Vec<String> =
            NOTHING.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into()).collect();
        let colons = bytes.join(":").to_uppercase();
        for text in [NOTHING.to_owned(), format!("sha256:{NOTHING}"), colons.clone(), format!("SHA256:{colons}")] {
            assert_eq!(text.parse(), Ok(nothing), "{text}");
        }
        for text in ["", "sha256:", &NOTHING[1..], &format!("{NOTHING}00"), &NOTHING.replace('e', "g"), "sha1:00"] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
