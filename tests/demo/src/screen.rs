//! What the person at the terminal sees.

use std::io::{self, IsTerminal, Write};

use crate::call::Status;
use crate::device::Device;
use crate::server::{Server, program};

/// Prints a line.
pub fn say(text: &str) {
    print(&format!("{text}\n"));
}

/// Prints how to join the call.
pub fn introduce(server: &Server, devices: [&Device; 2]) {
    let mut text = String::from(
        "\nThey are in the room `lobby` now, publish, and play each other.\n\nJoin them in a browser:\n  ",
    );
    match server.page("visitor") {
        Ok(page) => text.push_str(&page),
        Err(error) => text.push_str(&error.to_string()),
    }
    if server.is_local() {
        text.push_str("\n  (from this machine only; make run LISTEN=0.0.0.0:7880 lets the whole network in)");
    }
    text.push_str("\n\nLook at them in another terminal:\n");
    let ctl = program("zegoctl");
    let [door, desk] = devices;
    for (device, command) in [
        (door, "status"),
        (door, "users"),
        (desk, "streams"),
        (desk, "devices"),
        (desk, "stats --watch"),
        (door, "monitor"),
    ] {
        text.push_str(&format!("  {} --bus {} {command}\n", ctl.display(), device.bus));
    }
    text.push_str("\nCtrl-C ends all of it.\n\n");
    print(&text);
}

/// Shows the status: in place on a terminal, as a line elsewhere.
pub fn draw(seconds: u64, status: &Status) {
    let line = line(seconds, status);
    if io::stdout().is_terminal() {
        // Back to the margin; without wrapping, so that a narrow window cuts the line; clear what was longer.
        print(&format!("\r\x1b[?7l{line}\x1b[K\x1b[?7h"));
    } else {
        say(&line);
    }
}

/// Leaves the line that the status is drawn in.
pub fn leave_line() {
    if io::stdout().is_terminal() {
        print("\r\n");
    }
}

fn line(seconds: u64, status: &Status) -> String {
    let fps: Vec<String> = status.fps.iter().map(|(from, fps)| format!("{from} {fps:.0} fps")).collect();
    let latency = status
        .latency
        .map_or_else(|| "latency unknown".to_owned(), |(p50, p95)| format!("latency p50 {p50} ms p95 {p95} ms"));
    let measured =
        |value: Option<f64>, digits| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
    format!(
        "{:02}:{:02}  {} people  {} streams  {}  {latency}  {} Mbit/s  {} % lost",
        seconds / 60,
        seconds % 60,
        status.people,
        status.streams,
        fps.join("  "),
        measured(status.kbps.map(|kbps| kbps / 1000.0), 2),
        measured(status.loss.map(|loss| loss * 100.0), 1)
    )
}

/// A reader that is gone (`make run | head`) is no reason to fail: the demo ends by its own rules.
fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_everything() {
        let status = Status {
            people: 2,
            streams: 2,
            fps: vec![("door".to_owned(), 29.97), ("desk".to_owned(), 30.02)],
            latency: Some((12, 18)),
            kbps: Some(1640.0),
            loss: Some(0.004),
        };
        assert_eq!(
            line(65, &status),
            "01:05  2 people  2 streams  door 30 fps  desk 30 fps  latency p50 12 ms p95 18 ms  1.64 Mbit/s  0.4 % lost"
        );
    }
}
