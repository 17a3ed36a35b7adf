//! The call between the two devices: how it does each second, and whether it was one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use zbus::{OwnedObjectPath, Variant};
use zego_protocol::proxy::Details;

use crate::device::{Device, DeviceError, Participant};
use crate::meter::Meter;

/// Frames a second that count as a picture that moves.
const MOVES: f64 = 5.0;

/// One direction of the call: what `to` plays of the other one.
#[derive(Debug)]
struct Direction {
    from: String,
    player: OwnedObjectPath,
    meter: Arc<Meter>,
    fps: f64,
    frames: u64,
    sound: Arc<AtomicBool>,
}

/// The call.
#[derive(Debug)]
pub struct Call {
    participants: [Participant; 2],
    directions: [Direction; 2],
    looked_at: Instant,
}

/// How the call does.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// People in the room.
    pub people: usize,
    /// Streams in the room.
    pub streams: usize,
    /// For each direction, who is seen and with how many frames a second.
    pub fps: Vec<(String, f64)>,
    /// Milliseconds from the making of a frame to its showing, of both directions: median and 95th percentile.
    pub latency: Option<(u16, u16)>,
    /// Of both directions together, in kbit/s; unknown until the devices measured it, in the first seconds.
    pub kbps: Option<f64>,
    /// The worse direction's share of lost packets, 0 to 1.
    pub loss: Option<f64>,
}

impl Call {
    /// Lets each of the two play the other.
    pub async fn begin(first: Participant, second: Participant) -> Result<Self, DeviceError> {
        let there = Direction::new(&first, &second).await?;
        let back = Direction::new(&second, &first).await?;
        Ok(Self { participants: [first, second], directions: [there, back], looked_at: Instant::now() })
    }

    /// The two devices.
    pub fn devices(&self) -> [&Device; 2] {
        [&self.participants[0].device, &self.participants[1].device]
    }

    /// What happened since the last look.
    pub async fn status(&mut self) -> Result<Status, DeviceError> {
        let now = Instant::now();
        let seconds = (now - self.looked_at).as_secs_f64();
        self.looked_at = now;
        let mut status = Status {
            people: self.participants[0].people().await?,
            streams: self.participants[0].streams().await?,
            ..Status::default()
        };
        let mut latencies = Vec::new();
        // The second participant is the one who plays the first, and the other way round.
        for (direction, player) in self.directions.iter_mut().zip(self.participants.iter().rev()) {
            let sight = direction.meter.look();
            #[allow(clippy::cast_precision_loss)] // some frames
            let fps = sight.frames as f64 / seconds;
            direction.fps = fps;
            direction.frames += sight.frames;
            latencies.extend(sight.latencies);
            status.fps.push((direction.from.clone(), fps));
            let quality = player.quality(&direction.player).await?;
            for key in ["video_kbps", "audio_kbps"] {
                status.kbps = number(&quality, key).map(|kbps| status.kbps.unwrap_or(0.0) + kbps).or(status.kbps);
            }
            status.loss =
                number(&quality, "packet_lost_rate").map(|loss| status.loss.unwrap_or(0.0).max(loss)).or(status.loss);
        }
        latencies.sort_unstable();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied();
        status.latency = at(50).zip(at(95));
        Ok(status)
    }

    /// Whether media flowed both ways, up to the end; what is missing otherwise.
    pub fn verdict(&self) -> Result<(), String> {
        let missing: Vec<String> = self
            .directions
            .iter()
            .filter_map(|direction| {
                let Direction { from, fps, frames, sound, .. } = direction;
                match (*fps >= MOVES, sound.load(Ordering::Relaxed)) {
                    (true, true) => None,
                    (false, true) => Some(format!("no moving picture of {from} arrives ({frames} frames in all)")),
                    (true, false) => Some(format!("no sound of {from} arrives")),
                    (false, false) => {
                        Some(format!("neither picture ({frames} frames in all) nor sound of {from} arrives"))
                    }
                }
            })
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("Media did not flow both ways: {}.", missing.join("; "))) }
    }
}

impl Direction {
    async fn new(from: &Participant, to: &Participant) -> Result<Self, DeviceError> {
        let stream = from.device.name.clone();
        let sound = to.hears(&stream).await?;
        let (player, meter) = to.play(&stream).await?;
        Ok(Self { from: stream, player, meter, fps: 0.0, frames: 0, sound })
    }
}

/// A rate or ratio of a quality dictionary; `None` when it could not be measured.
fn number(quality: &Details, key: &str) -> Option<f64> {
    match quality.get(key).map(|value| &**value) {
        Some(Variant::F64(number)) => Some(*number),
        _ => None,
    }
}
