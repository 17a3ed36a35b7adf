//! Announces the hub on its LAN by DNS-SD over multicast DNS, so that devices find it by themselves.
//!
//! The library answers questions in a thread of its own, follows the machine's addresses (it looks every five seconds), settles
//! conflicts of names (RFC 6762, section 9) and takes leave. It shares port 5353 with avahi or systemd-resolved where one runs.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use zego_protocol::discovery::{Announcement, SERVICE_TYPE};

use crate::kept;

/// The library says goodbye twice, 120 ms apart, because a multicast may be lost.
const GOODBYE_AGAIN: Duration = Duration::from_millis(150);
/// For its thread to end.
const CLOSE_TIME: Duration = Duration::from_millis(300);
/// Longest name of an instance, in bytes: a label of DNS (RFC 6763, section 4.1.1), with room for " (99)" after a conflict.
pub const LONGEST_NAME: usize = 58;

/// Why the hub is not announced. It can be used all the same.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The library.
    #[error("multicast DNS cannot be used: {0}")]
    Unusable(#[from] mdns_sd::Error),
    /// The name could not be kept.
    #[error("{file}: {source}; the hub keeps its name for multicast DNS there")]
    Name {
        /// The file.
        file: std::path::PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
}

/// A hub that is announced.
pub struct Announcer {
    daemon: ServiceDaemon,
    fullname: String,
}

impl Announcer {
    /// Announces the hub that listens on `listen` as `name`; `host` is the host name (without `.local`) under which its addresses are.
    ///
    /// # Errors
    /// [`AnnounceError::Unusable`].
    pub fn start(name: &str, host: &str, listen: SocketAddr, says: &Announcement) -> Result<Announcer, AnnounceError> {
        let daemon = ServiceDaemon::new()?;
        match listen.ip() {
            IpAddr::V6(any) if any.is_unspecified() => {}
            // Nobody reaches it by IPv6.
            IpAddr::V4(any) if any.is_unspecified() => daemon.disable_interface(IfKind::IPv6)?,
            address => {
                daemon.disable_interface(IfKind::All)?;
                daemon.enable_interface(IfKind::Addr(address))?;
            }
        }
        let txt = says.to_txt();
        let host = format!("{host}.local.");
        let service = ServiceInfo::new(SERVICE_TYPE, name, &host, "", listen.port(), &txt[..])?.enable_addr_auto();
        let fullname = service.get_fullname().to_owned();
        daemon.register(service)?;
        Ok(Announcer { daemon, fullname })
    }

    /// Tells everybody that the hub is not to be found any more.
    pub fn leave(&self) {
        // Only fails when the thread has ended already.
        let _ = self.daemon.unregister(&self.fullname);
    }

    /// Ends, after [`Announcer::leave`], when that was told a second time.
    pub async fn finish(self) {
        tokio::time::sleep(GOODBYE_AGAIN).await;
        if let Ok(done) = self.daemon.shutdown() {
            let _ = tokio::time::timeout(CLOSE_TIME, done.recv_async()).await;
        }
    }
}

/// The name for people, when none is configured: the host's.
pub fn name(hostname: &str) -> String {
    let host = hostname.split('.').next().unwrap_or_default();
    let mut name = if host.is_empty() || host == "localhost" { "zegohub".to_owned() } else { host.to_owned() };
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}

/// The host name for multicast DNS, without `.local`; made in `directory` at the first time.
///
/// Not the machine's own: avahi announces that one with addresses that may be others than the hub's, each would find that somebody else
/// uses its name, and the machine would be given another. And a certificate has to name it, so that it has to stay.
///
/// # Errors
/// [`AnnounceError::Name`].
pub fn host(directory: &Path) -> Result<String, AnnounceError> {
    let file = directory.join("mdns-name");
    let is_name = |text: &str| {
        text.strip_prefix("zegohub-").is_some_and(|id| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if is_name(kept.trim()) {
        return Ok(kept.trim().to_owned());
    }
    let name = format!("zegohub-{:08x}", crate::core::random() as u32);
    let fail = |source| AnnounceError::Name { file: file.clone(), source };
    std::fs::create_dir_all(directory).map_err(fail)?;
    kept::write(&file, &format!("{name}\n"), kept::PUBLIC).map_err(fail)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_people_is_the_host_s() {
        for (hostname, expected) in
            [("kiosk", "kiosk"), ("Kiosk.example.org", "Kiosk"), ("localhost", "zegohub"), ("", "zegohub")]
        {
            assert_eq!(name(hostname), expected);
        }
        assert_eq!(name(&"ü".repeat(40)).len(), LONGEST_NAME);
    }

    #[test]
    fn the_name_for_multicast_dns_stays() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("state");
        let first = host(&directory).unwrap();
        assert!(first.starts_with("zegohub-") && first.len() == 16, "{first}");
        assert_eq!(host(&directory).unwrap(), first);
        std::fs::write(directory.join("mdns-name"), "what is this\n").unwrap();
        assert!(host(&directory).unwrap().starts_with("zegohub-"), "a damaged one is made anew");
        let nowhere = folder.path().join("state/mdns-name/x");
        assert!(matches!(host(&nowhere), Err(AnnounceError::Name { .. })));
    }
}
