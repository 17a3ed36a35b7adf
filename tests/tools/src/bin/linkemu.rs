//! Joins two network namespaces by an emulated link: a TUN device in each, and this process between them.
//!
//! Prints `ready` on stdout when packets pass, and one JSON line with packet counts when its standard input ends.
//! A line `cut` there loses every packet from then on, without either end being told, until a line `mend`; `loss PERCENT`
//! changes the share that gets lost, `rate KBPS` the bit rate (0: no limit). Each is repeated on stdout when it is done. Needs root. It ends by SIGTERM too, without the counts.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use clap::Parser;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zego_tools::link::{Conditions, Direction, Limit};
use zego_tools::{clock, tun};

/// Bytes that a limited link passes at once after a rest: two full packets.
const BURST: u64 = 3_000;

/// Joins two network namespaces by a link with delay, loss and jitter.
#[derive(Parser)]
struct Arguments {
    /// One end, NAMESPACE=ADDRESS (IPv4, in a /24 that both ends share).
    left: String,
    /// The other end.
    right: String,
    /// One-way delay.
    #[arg(long, default_value_t = 0.0)]
    delay_ms: f64,
    /// Share of the packets that get lost, in each direction.
    #[arg(long, default_value_t = 0.0)]
    loss_percent: f64,
    /// Up to this much more delay; packets stay in order.
    #[arg(long, default_value_t = 0.0)]
    jitter_ms: f64,
    /// Bit rate of each direction in kbit/s; 0 is no limit. What comes faster waits in a queue of `--queue-ms`.
    #[arg(long, default_value_t = 0)]
    rate_kbps: u32,
    /// Longest wait in the queue of a limited link; what would wait longer is lost.
    #[arg(long, default_value_t = 200)]
    queue_ms: u32,
    /// The same seed loses the same packets.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The device's name at both ends; only `eth0` is given a default route.
    #[arg(long, default_value = "eth0")]
    device: String,
    /// Run until SIGTERM instead of until standard input ends.
    #[arg(long)]
    detached: bool,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // milliseconds, given by hand
    let nanoseconds = |ms: f64| (ms.max(0.0) * 1e6) as u64;
    let conditions = Conditions {
        delay: nanoseconds(arguments.delay_ms),
        jitter: nanoseconds(arguments.jitter_ms),
        loss: arguments.loss_percent / 100.0,
        limit: limit(arguments.rate_kbps, arguments.queue_ms),
    };
    let ends = [make_end(&arguments.left, &arguments.device)?, make_end(&arguments.right, &arguments.device)?];
    let mut directions = [Direction::new(conditions, arguments.seed), Direction::new(conditions, !arguments.seed)];
    println!("ready");
    carry(&ends, &mut directions, &arguments)?;
    let [to_right, to_left] = directions;
    println!(
        "{{\"left_to_right_packets\": {}, \"left_to_right_lost\": {}, \"left_to_right_bytes\": {}, \
         \"right_to_left_packets\": {}, \"right_to_left_lost\": {}, \"right_to_left_bytes\": {}}}",
        to_right.packets, to_right.lost, to_right.bytes, to_left.packets, to_left.lost, to_left.bytes
    );
    Ok(())
}

/// The limit of a bit rate in kbit/s; 0 is none.
fn limit(kbps: u32, queue_ms: u32) -> Option<Limit> {
    let rate = u64::from(kbps) * 1_000;
    (rate > 0).then(|| Limit { rate, burst: BURST, queue: rate * u64::from(queue_ms) / 8_000 })
}

/// Makes the device of one end, with its address and, for the first one of a namespace, a default route.
fn make_end(end: &str, name: &str) -> io::Result<OwnedFd> {
    let (namespace, address) =
        end.split_once('=').ok_or_else(|| io::Error::other(format!("{end}: not NAMESPACE=ADDRESS")))?;
    let device = tun::open(namespace, name)?;
    let subnet = format!("{address}/24");
    let address = ["address", "add", &subnet, "dev", name];
    let up = ["link", "set", name, "up"];
    let route = ["route", "add", "default", "dev", name];
    let commands: &[&[&str]] = if name == "eth0" { &[&address, &up, &route] } else { &[&address, &up] };
    for words in commands {
        let status = Command::new("ip").args(["-n", namespace]).args(*words).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("ip -n {namespace} {}: {status}", words.join(" "))));
        }
    }
    Ok(device)
}

/// Carries packets until standard input ends (or forever).
fn carry(ends: &[OwnedFd; 2], directions: &mut [Direction; 2], arguments: &Arguments) -> io::Result<()> {
    let mut packet = vec![0; 65536];
    let stdin = io::stdin();
    let mut cut = false;
    loop {
        for (from, direction) in directions.iter_mut().enumerate() {
            while let Some(arrived) = direction.receive(clock::now()) {
                // A packet that the other side has no room for is lost, as on any link.
                let _ = rustix::io::write(&ends[1 - from], &arrived);
            }
        }
        let due = directions.iter().filter_map(Direction::next_due).min();
        let wait = due.map(|due| due.saturating_sub(clock::now()));
        let timeout = wait.map(|wait| Timespec {
            tv_sec: i64::try_from(wait / 1_000_000_000).unwrap_or(0),
            tv_nsec: i64::try_from(wait % 1_000_000_000).unwrap_or(0),
        });
        let asked = if arguments.detached { PollFlags::empty() } else { PollFlags::IN };
        let mut ready = [
            PollFd::new(&ends[0], PollFlags::IN),
            PollFd::new(&ends[1], PollFlags::IN),
            PollFd::from_borrowed_fd(stdin.as_fd(), asked),
        ];
        // A standard input that ended is ready for ever; a detached link does not look at it.
        let watched = if arguments.detached { 2 } else { 3 };
        match poll(&mut ready[..watched], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if watched == 3 && !ready[2].revents().is_empty() {
            let Some(line) = command()? else { return Ok(()) };
            let (word, number) = line.split_once(' ').unwrap_or((&line, ""));
            match (word, number.parse::<f64>(), number.parse::<u32>()) {
                ("cut", ..) => cut = true,
                ("mend", ..) => cut = false,
                ("loss", Ok(percent), _) => directions.iter_mut().for_each(|d| d.set_loss(percent / 100.0)),
                ("rate", _, Ok(kbps)) => {
                    directions.iter_mut().for_each(|d| d.set_limit(limit(kbps, arguments.queue_ms)));
                }
                _ => return Err(io::Error::other(format!("{line}: neither cut, mend, loss PERCENT nor rate KBPS"))),
            }
            println!("{line}");
        }
        for (from, direction) in directions.iter_mut().enumerate() {
            if ready[from].revents().is_empty() {
                continue;
            }
            while let Ok(length) = rustix::io::read(&ends[from], &mut packet[..]) {
                if !cut {
                    direction.send(&packet[..length], clock::now());
                }
            }
        }
    }
}

/// The next line of standard input; nothing at its end. Byte by byte, so that the next one stays where `poll` sees it.
fn command() -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match rustix::io::read(io::stdin(), &mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    String::from_utf8(line).map(Some).map_err(io::Error::other)
}
