//! The authority that a hub is for itself, and the certificate of it for the hub's names.
//!
//! A hub on a LAN has no name that a public authority would vouch for, and browsers hand out cameras to `https` pages only. So it makes
//! an authority once, which people may install on their phones, and from it a certificate for the names and addresses that it has now.
//! The authority can vouch for nothing else (RFC 5280, section 4.2.1.10): whoever steals its key cannot pretend to be a bank.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use serde::{Deserialize, Serialize};

use super::CertificateError;
use crate::kept::{PUBLIC, SECRET, write};

const DAY: u64 = 86_400;
/// Phones accept no certificate of a longer life than 825 days.
const LIFE: u64 = 800 * DAY;
/// An authority is installed by hand, so it lives as long as the device.
const AUTHORITY_LIFE: u64 = 20 * 365 * DAY;
/// Before its end a certificate is made anew.
const RENEWAL: u64 = 60 * DAY;
/// Certificates begin in the past: other machines' clocks may be behind.
const BACKDATED: u64 = 2 * DAY;
/// Before this time (2025) the clock was not set yet.
const CLOCK_SET: u64 = 1_735_689_600;

/// Networks that are nobody's in particular (RFC 1918, 3927, 4193, 4291), and this machine.
const PRIVATE_V4: [([u8; 4], u8); 5] =
    [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16), ([169, 254, 0, 0], 16), ([127, 0, 0, 0], 8)];
const PRIVATE_V6: [(u16, u8); 2] = [(0xfc00, 7), (0xfe80, 10)];

/// Where the pieces are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The hub's certificate, followed by the authority's.
    pub certificate: PathBuf,
    /// The hub's key.
    pub key: PathBuf,
    /// The authority's certificate, for whoever is to trust the hub.
    pub authority: PathBuf,
}

/// What was made the last time.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Made {
    /// Common name of the authority.
    authority: String,
    /// Names that the authority may vouch for.
    names: Vec<String>,
    /// Addresses in the certificate.
    addresses: Vec<IpAddr>,
    /// Unix time of the certificate's end.
    until: u64,
}

/// The certificate in `directory` for `names` and those of `addresses` that are private; made there at the first time, and anew when it
/// does not fit any more or is old at `now`.
///
/// # Errors
/// The directory cannot be written, or a name is none.
pub fn own(
    directory: &Path,
    names: &[String],
    addresses: &[IpAddr],
    now: SystemTime,
) -> Result<OwnCertificate, CertificateError> {
    let at = |name: &str| directory.join(name);
    let found =
        OwnCertificate { certificate: at("certificate.pem"), key: at("key.pem"), authority: at("authority.pem") };
    let mut addresses: Vec<IpAddr> = addresses.iter().copied().filter(is_private).collect();
    addresses.sort();
    addresses.dedup();
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let made = read(&at("made.toml"))
        .filter(|_| found.certificate.exists() && found.key.exists() && at("authority-key.pem").exists());
    // A machine without a clock takes what it has: anew it would be of 1970.
    let fits = |made: &Made| {
        made.names == names && made.addresses == addresses && (now < CLOCK_SET || now + RENEWAL < made.until)
    };
    if made.as_ref().is_some_and(fits) {
        return Ok(found);
    }
    let io = |file: PathBuf| move |source| CertificateError::Write { file, source };
    fs::create_dir_all(directory).map_err(io(directory.to_owned()))?;
    let now = now.max(CLOCK_SET);
    let kept = made.filter(|made| made.names == names);
    let (authority, authority_key) = match kept {
        Some(made) => {
            (made.authority, fs::read_to_string(at("authority-key.pem")).map_err(io(at("authority-key.pem")))?)
        }
        None => {
            let name = format!("zegohub {} {now:x}", names.first().map_or("", String::as_str));
            let key = KeyPair::generate()?;
            let certificate = authority_parameters(&name, names, now)?.self_signed(&key)?;
            write(&at("authority-key.pem"), &key.serialize_pem(), SECRET).map_err(io(at("authority-key.pem")))?;
            write(&found.authority, &certificate.pem(), PUBLIC).map_err(io(found.authority.clone()))?;
            (name, key.serialize_pem())
        }
    };
    let issuer = Issuer::new(authority_parameters(&authority, names, now)?, KeyPair::from_pem(&authority_key)?);
    let key = KeyPair::generate()?;
    let until = now + LIFE;
    let mut parameters = CertificateParams::new(names.to_vec())?;
    parameters.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    parameters.distinguished_name = common_name(names.first().map_or("zegohub", String::as_str));
    (parameters.not_before, parameters.not_after) = (date(now - BACKDATED), date(until));
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let chain = parameters.signed_by(&key, &issuer)?.pem()
        + &fs::read_to_string(&found.authority).map_err(io(found.authority.clone()))?;
    write(&found.key, &key.serialize_pem(), SECRET).map_err(io(found.key.clone()))?;
    write(&found.certificate, &chain, PUBLIC).map_err(io(found.certificate.clone()))?;
    let made = Made { authority, names: names.to_vec(), addresses, until };
    // Its fields are plain.
    let text = toml::to_string(&made).unwrap_or_default();
    write(&at("made.toml"), &text, PUBLIC).map_err(io(at("made.toml")))?;
    Ok(found)
}

/// The names of this machine on its LAN (RFC 6762) and for itself, and `more`.
pub fn names(hostname: &str, more: &[String]) -> Vec<String> {
    let host = hostname.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let mut names = Vec::new();
    if !host.is_empty() && host != "localhost" {
        names.extend([format!("{host}.local"), host]);
    }
    names.push("localhost".to_owned());
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn authority_parameters(name: &str, names: &[String], now: u64) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = common_name(name);
    (parameters.not_before, parameters.not_after) = (date(now - BACKDATED), date(now + AUTHORITY_LIFE));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut permitted_subtrees: Vec<GeneralSubtree> = names.iter().cloned().map(GeneralSubtree::DnsName).collect();
    let v4 = PRIVATE_V4.map(|(network, prefix)| CidrSubnet::from_v4_prefix(network, prefix));
    let v6 = PRIVATE_V6.map(|(network, prefix)| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&network.to_be_bytes());
        CidrSubnet::from_v6_prefix(bytes, prefix)
    });
    let own = CidrSubnet::from_v6_prefix(std::net::Ipv6Addr::LOCALHOST.octets(), 128);
    permitted_subtrees.extend(v4.into_iter().chain(v6).chain([own]).map(GeneralSubtree::IpAddress));
    parameters.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    Ok(parameters)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

fn date(unix: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::UNIX_EPOCH + Duration::from_secs(unix)
}

fn read(file: &Path) -> Option<Made> {
    toml::from_str(&fs::read_to_string(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(unix: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(unix)
    }

    fn lan() -> Vec<IpAddr> {
        vec!["192.168.1.7".parse().unwrap(), "203.0.113.9".parse().unwrap(), "127.0.0.1".parse().unwrap()]
    }

    #[test]
    fn a_certificate_is_kept_until_it_does_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let names = names("kiosk", &[]);
        let make = |names: &[String], addresses: &[IpAddr], now| {
            let own = own(folder.path(), names, addresses, at(now)).unwrap();
            let read = |file| fs::read_to_string(file).unwrap();
            (read(&own.certificate), read(&own.authority))
        };
        let first = make(&names, &lan(), NOW);
        assert_eq!(make(&names, &lan(), NOW + 100 * DAY), first, "it still fits");
        assert_eq!(make(&names, &lan(), 1_000), first, "a clock that is not set");
        let moved = make(&names, &["10.0.0.3".parse().unwrap()], NOW + DAY);
        assert!(moved.0 != first.0 && moved.1 == first.1, "another address, the same authority");
        let old = make(&names, &["10.0.0.3".parse().unwrap()], NOW + 780 * DAY);
        assert!(old.0 != moved.0 && old.1 == first.1, "near its end, the same authority");
        let renamed = make(&super::names("lobby", &[]), &lan(), NOW);
        assert!(renamed.1 != first.1, "the authority could not vouch for the new name");
    }

    #[test]
    fn names_are_those_of_the_lan_and_the_configured_ones() {
        assert_eq!(
            names("Kiosk.example", &["door.example".to_owned()]),
            ["kiosk.local", "kiosk", "localhost", "door.example"]
        );
        assert_eq!(names("localhost", &[]), ["localhost"]);
    }

    #[test]
    fn keys_are_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let own = own(folder.path(), &names("kiosk", &[]), &lan(), at(NOW)).unwrap();
        for key in [own.key, folder.path().join("authority-key.pem")] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
