//! Datagrams for one destination that leave in one system call: the kernel takes them as one buffer and cuts it into segments of
//! one size as late as it can (UDP generic segmentation offload; udp(7), `UDP_SEGMENT`, Linux 4.18). The packets of a picture are
//! such a burst, and sending is most of what forwarding them costs.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Deref;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt, sockopt};

/// Segments that the kernel takes at once (`UDP_MAX_SEGMENTS`, before Linux 6.9).
const SEGMENTS: usize = 64;
/// Bytes of a burst: an IP packet's longest payload, less the headers.
const BYTES: usize = 65_000;

/// Whether the kernel cuts bursts for this socket.
pub fn is_supported(socket: &UdpSocket) -> bool {
    // Zero leaves what is sent without a size of its own as it is.
    setsockopt(socket, sockopt::UdpGsoSegment, &0).is_ok()
}

/// How many of the first datagrams make one burst: all as long as the first, but for the last, which may be shorter.
pub fn length<D: Deref<Target = [u8]>>(datagrams: &[D]) -> usize {
    let Some(size) = datagrams.first().map(|first| first.len()) else { return 0 };
    let most = SEGMENTS.min(BYTES.checked_div(size).unwrap_or(1)).max(1).min(datagrams.len());
    let equal = datagrams[..most].iter().take_while(|datagram| datagram.len() == size).count();
    let shorter = datagrams[..most].get(equal).is_some_and(|last| !last.is_empty() && last.len() < size);
    equal + usize::from(shorter)
}

/// Sends a burst of [`length`].
///
/// Errors: the kernel's; nothing was sent then. Where segments do not fit the network's packets, or the network device
/// does not compute checksums, each datagram has to be sent by itself.
pub fn send<D: Deref<Target = [u8]>>(socket: &UdpSocket, to: SocketAddr, burst: &[D]) -> io::Result<()> {
    let size = burst.first().map_or(0, |first| first.len());
    let size = u16::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
    let slices: Vec<IoSlice<'_>> = burst.iter().map(|datagram| IoSlice::new(datagram)).collect();
    let control = [ControlMessage::UdpGsoSegments(&size)];
    sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&SockaddrStorage::from(to)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_of_one_size_but_for_a_shorter_end() {
        for (sizes, expected) in [
            (vec![], 0),
            (vec![1200], 1),
            (vec![1200, 1200, 1200], 3),
            (vec![1200, 1200, 700, 1200], 3),
            (vec![1200, 1201, 1201], 1),
            (vec![1201, 1200, 1200], 2),
            (vec![80, 1200], 1),
            (vec![1200; 100], 54),
            (vec![80; 100], SEGMENTS),
            (vec![0, 0], 1),
            (vec![1200, 0], 1),
            (vec![70_000, 70_000], 1),
        ] {
            let datagrams: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size]).collect();
            // One datagram is no burst, however long it is.
            assert_eq!(length(&datagrams), expected, "{sizes:?}");
        }
    }

    #[test]
    fn each_datagram_of_a_burst_arrives_by_itself_and_in_order() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (sender, receiver) =
                (UdpSocket::bind(address).expect("bound"), UdpSocket::bind(address).expect("bound"));
            receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
            assert!(is_supported(&sender));
            let datagrams: Vec<Vec<u8>> =
                [1200, 1200, 1200, 345].iter().zip(1..).map(|(size, n)| vec![n; *size]).collect();
            send(&sender, receiver.local_addr().expect("known"), &datagrams).expect("sent");
            let mut buffer = [0; 2000];
            for datagram in datagrams {
                let length = receiver.recv(&mut buffer).expect("received");
                assert_eq!(buffer[..length], datagram);
            }
        }
    }
}
