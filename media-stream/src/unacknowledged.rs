//! What the other end of a TCP connection has not acknowledged.
#![allow(unsafe_code)] // tcp(7)'s SIOCOUTQ has no safe wrapper in what the hub depends on.

use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Getter, Opcode, ioctl};

/// SIOCOUTQ, which has the number of TIOCOUTQ (linux/sockios.h). Both are small enough for every kernel's type of it.
#[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]
const UNACKNOWLEDGED: Opcode = libc::TIOCOUTQ as Opcode;

/// Bytes that were written to a connection and are not acknowledged, whether they have left or not.
pub fn unacknowledged(connection: impl AsFd) -> io::Result<usize> {
    // SAFETY: the kernel writes an int for this request (net/ipv4/tcp.c, tcp_ioctl), and nothing else.
    let bytes = unsafe { ioctl(connection, Getter::<UNACKNOWLEDGED, libc::c_int>::new()) }?;
    Ok(usize::try_from(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_was_written_counts_until_it_arrives() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (mut server, _) = listener.accept().expect("accepted");
        assert_eq!(unacknowledged(&client).expect("a socket"), 0);
        client.set_nonblocking(true).expect("set");
        let mut written = 0;
        while let Ok(count) = client.write(&[0; 65_536]) {
            written += count;
        }
        assert!(unacknowledged(&client).expect("a socket") > 65_536, "nobody reads");
        let mut everything = vec![0; written];
        server.read_exact(&mut everything).expect("read");
        let left = (0..1_000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            unacknowledged(&client).ok().filter(|left| *left == 0)
        });
        assert_eq!(left, Some(0));
    }
}
