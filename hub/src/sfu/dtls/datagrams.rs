//! What OpenSSL reads from and writes to in place of a socket.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

/// Datagrams that may wait to leave: a flight of a handshake is less than ten, and all leave after each turn. More are lost, as in
/// any network.
pub const WAITING: usize = 64;

/// The datagram that came, and those that are to leave.
#[derive(Debug, Default)]
pub struct Datagrams {
    came: Option<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
}

impl Datagrams {
    /// Lets the next read have `datagram`.
    pub fn came(&mut self, datagram: &[u8]) {
        self.came = Some(datagram.to_vec());
    }

    /// Forgets what came and was not read.
    pub fn forget(&mut self) {
        self.came = None;
    }

    /// Bytes of the next datagram that leaves.
    pub fn next_len(&self) -> Option<usize> {
        self.leaving.front().map(Vec::len)
    }

    /// Takes the next datagram that leaves.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        self.leaving.pop_front()
    }

    /// Whether nothing is to leave.
    pub fn is_empty(&self) -> bool {
        self.leaving.is_empty()
    }
}

impl Read for Datagrams {
    /// One datagram for each call, as of a socket: the end of one that is longer than `buffer` is lost.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.came.take().ok_or(ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Datagrams {
    /// One datagram for each call.
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.leaving.len() < WAITING {
            self.leaving.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
