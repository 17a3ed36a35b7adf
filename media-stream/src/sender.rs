//! The sending end of a stream.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendFlags, send, sockopt};
use socket2::SockRef;

use crate::flight::Flight;
use crate::queue::{Kind, Queue};
use crate::rate::LineRate;
use crate::unacknowledged::unacknowledged;

/// What the kernel may hold of a connection (it takes twice that, for its own needs): some 40 pictures' packets on their way. More would
/// arrive too late on a line that is full.
const SEND_BUFFER: usize = 48 << 10;
/// Bytes of that which may wait to leave (tcp(7), `TCP_NOTSENT_LOWAT`): nothing that waits there can be overtaken.
const UNSENT: u32 = 4 << 10;
/// While the line is full, the kernel is asked so often whether it is so still.
const LOOK: Duration = Duration::from_millis(5);

/// Sets the options of a connection's socket that a [`Sender`] counts on.
///
/// Errors: the kernel's.
pub fn prepare(socket: impl AsFd) -> io::Result<()> {
    // A packet is not to wait until the one before it is acknowledged.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
    SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)
}

/// What that which is to go out waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Nothing is to go out.
    Nothing,
    /// Room in the kernel.
    Room,
    /// Room on the line, looked for at this time: only pictures do.
    Line(Instant),
}

/// What is to go out on one stream. Nothing here waits: its owner flushes it when the time or the socket is ready, see [`Sender::waits`].
#[derive(Debug)]
pub struct Sender {
    queue: Queue,
    flight: Flight,
    waits: Waits,
    rate: LineRate,
    carries: Option<u64>,
}

impl Sender {
    /// Of a connection on which nothing was sent, whose socket is [`prepare`]d and does not block.
    pub fn new(now: Instant) -> Sender {
        let (flight, rate) = (Flight::new(now), LineRate::new(now));
        Sender { queue: Queue::default(), flight, waits: Waits::Nothing, rate, carries: None }
    }

    /// What has to happen before [`Sender::flush`] can do more.
    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// What the line carries in bit/s, if there is news of it since the last call: only of a line that was full.
    pub fn carries(&mut self) -> Option<u64> {
        self.carries.take()
    }

    /// Sends a datagram as soon as it can. What has no room is lost, as on any network.
    ///
    /// Errors: the connection is broken.
    pub fn send(&mut self, socket: impl AsFd, kind: Kind, datagram: &[u8], now: Instant) -> io::Result<()> {
        // What waits for room is sent when the kernel says that there is some.
        if self.queue.push(kind, datagram, now) && self.waits != Waits::Room {
            return self.flush(socket, now);
        }
        Ok(())
    }

    /// Sends what waits, as far as it goes now.
    ///
    /// Errors: the connection is broken.
    pub fn flush(&mut self, socket: impl AsFd, now: Instant) -> io::Result<()> {
        self.waits = Waits::Nothing;
        loop {
            if self.queue.is_picture_next() && !self.has_room(&socket, now) {
                self.waits = Waits::Line(now + LOOK);
                return Ok(());
            }
            let Some(bytes) = self.queue.front() else { return Ok(()) };
            // The end of a record: what is written next does not go into the same buffer of the kernel's, whose size it would not count
            // as waiting before that one is full.
            match send(&socket, bytes, SendFlags::EOR | SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.queue.advance(count);
                    self.flight.written(count, now);
                }
                Err(Errno::AGAIN) => {
                    self.waits = Waits::Room;
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the line has room for more pictures.
    fn has_room(&mut self, socket: impl AsFd, now: Instant) -> bool {
        if let Ok(missing) = unacknowledged(socket) {
            self.flight.acknowledged(missing, now);
        }
        let has_room = self.flight.has_room(now);
        self.carries = self.rate.look(self.flight.arrived(), has_room, now).or(self.carries);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Both ends of a connection; the first one sends.
    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let here = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (there, _) = listener.accept().expect("accepted");
        here.set_nonblocking(true).expect("set");
        prepare(&here).expect("a socket of TCP");
        (here, there)
    }

    #[test]
    fn a_datagram_leaves_at_once() {
        let (here, mut there) = connected();
        let now = Instant::now();
        let mut sender = Sender::new(now);
        sender.send(&here, Kind::Picture, &[7, 8], now).expect("connected");
        assert_eq!(sender.waits(), Waits::Nothing);
        let mut framed = [0; 4];
        there.read_exact(&mut framed).expect("sent");
        assert_eq!(framed, [0, 2, 7, 8]);
    }

    #[test]
    fn who_does_not_read_fills_nothing() {
        let (here, mut there) = connected();
        let now = Instant::now();
        let mut sender = Sender::new(now);
        for _ in 0..50_000 {
            sender.send(&here, Kind::Picture, &[144; 1_200], now).expect("connected");
        }
        assert_eq!(sender.waits(), Waits::Room);
        there.set_nonblocking(true).expect("set");
        let mut received = 0;
        for _ in 0..1_000 {
            sender.flush(&here, now).expect("connected");
            let mut bytes = vec![0; 1 << 20];
            received += there.read(&mut bytes).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(sender.waits(), Waits::Nothing);
        assert!((100_000..20_000_000).contains(&received) && received.is_multiple_of(1_202), "{received} of 60 MB");
    }

    #[test]
    fn pictures_wait_while_the_line_is_full_and_sound_does_not() {
        let (here, mut there) = connected();
        let start = Instant::now();
        let mut sender = Sender::new(start);
        sender.send(&here, Kind::Sound, &[1; 100], start).expect("connected");
        let mut framed = [0; 102];
        there.read_exact(&mut framed).expect("sent");
        // So much that the other end, which reads nothing, cannot take all, and some waits here.
        let mut picture =
            || sender.send(&here, Kind::Picture, &[2; 1_200], start + Duration::from_millis(1)).expect("connected");
        (0..5_000).for_each(|_| picture());
        assert_eq!(sender.waits(), Waits::Room);
        let late = start + Duration::from_secs(1);
        let mut waiting = Vec::new();
        there.set_nonblocking(true).expect("set");
        // Room in the kernel, but the oldest on its way is a second old, by the clock that is passed in.
        let mut bytes = vec![0; 8_192];
        for _ in 0..10_000 {
            if sender.waits() != Waits::Room {
                break;
            }
            let _ = there.read(&mut bytes);
            sender.flush(&here, late).expect("connected");
        }
        waiting.push(sender.waits());
        sender.send(&here, Kind::Sound, &[3; 100], late).expect("connected");
        waiting.push(sender.waits());
        assert_eq!(waiting, [Waits::Line(late + LOOK); 2]);
        assert!(!sender.queue.has_sound(), "it left");
    }

    #[test]
    fn a_broken_connection_is_an_error() {
        let (here, there) = connected();
        drop(there);
        let mut sender = Sender::new(Instant::now());
        let broken = (0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            sender.send(&here, Kind::Control, &[1; 100], Instant::now()).is_err()
        });
        assert!(broken);
    }
}
