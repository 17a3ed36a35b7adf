use std::time::Duration;

use bytes::Bytes;

use super::voice::{Pulled, VoiceBuffer, VoicePacket};
use crate::audio::{Channels, Frame};
use crate::clock::Monotonic;
use crate::media::codec::{OpusEncoder, OpusSettings};

const PACKET: usize = 960;

/// Something like speech: 140 Hz with overtones in syllables of 150 ms.
fn voice(sample: usize) -> i16 {
    let t = sample as f64 / 48_000.0;
    let pitch = std::f64::consts::TAU * 140.0 * t;
    let syllable = (t * 4.0).fract();
    let loudness = if syllable < 0.6 { (syllable / 0.6 * std::f64::consts::PI).sin() } else { 0.0 };
    (5000.0 * loudness * (pitch.sin() + 0.5 * (2.0 * pitch).sin() + 0.3 * (5.0 * pitch).sin())) as i16
}

/// What was heard.
struct Heard {
    buffer: VoiceBuffer,
    sound: Vec<i16>,
    /// For each pull with sound: milliseconds since that sound was captured.
    delays: Vec<i64>,
    silences: usize,
}

impl Heard {
    fn delay_after(&self, share: f64) -> i64 {
        let late = &self.delays[(self.delays.len() as f64 * share) as usize..];
        late.iter().sum::<i64>() / late.len() as i64
    }
}

/// Sends `packets` of 20 ms; `delay(n)` says how many ms packet `n` takes, `None` = lost. Pulls at 10 ms.
fn call(packets: usize, loss: f32, hold: Duration, delay: impl Fn(usize) -> Option<u64>) -> Heard {
    let mut encoder =
        OpusEncoder::new(OpusSettings { bits_per_second: 32_000, channels: Channels::Mono }).expect("encoder");
    encoder.set_expected_loss(loss);
    let first = u32::MAX - 5_000;
    let mut arrivals: Vec<(u64, VoicePacket)> = Vec::new();
    for n in 0..packets {
        let samples: [i16; PACKET] = std::array::from_fn(|i| voice(n * PACKET + i));
        let mut payload = vec![0; 1500];
        let length = encoder.encode(&samples, &mut payload).expect("encoded");
        payload.truncate(length);
        if let Some(delay) = delay(n) {
            // The last sample of a packet is captured 20 ms after the first.
            let at = 1000 + n as u64 * 20 + 20 + delay;
            let timestamp = first.wrapping_add((n * PACKET) as u32);
            arrivals.push((
                at,
                VoicePacket { arrived: Monotonic::from_millis(at), timestamp, payload: Bytes::from(payload) },
            ));
        }
    }
    arrivals.sort_by_key(|&(at, _)| at);
    let mut arrivals = arrivals.into_iter().peekable();
    let mut buffer = VoiceBuffer::new().expect("buffer");
    buffer.set_hold(hold);
    let mut heard = Heard { buffer, sound: Vec::new(), delays: Vec::new(), silences: 0 };
    for pull in 0..packets * 2 + 20 {
        let now = 1003 + pull as u64 * 10;
        while let Some((_, packet)) = arrivals.next_if(|&(at, _)| at <= now) {
            heard.buffer.insert(packet);
        }
        let mut frame = Frame::silent(Channels::Mono);
        match heard.buffer.pull(Monotonic::from_millis(now), &mut frame) {
            Pulled::Sound(timestamp) => {
                let captured = 1000 + i64::from(timestamp.wrapping_sub(first) as i32) / 48;
                heard.delays.push(now as i64 - captured);
                heard.sound.extend(frame.samples());
            }
            Pulled::Silence => heard.silences += usize::from(!heard.sound.is_empty()),
        }
    }
    heard
}

/// The greatest step between neighbours.
fn steepest(sound: &[i16]) -> i32 {
    sound.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

#[test]
fn a_clean_link_plays_everything_with_little_delay() {
    let heard = call(500, 0.0, Duration::ZERO, |_| Some(5));
    let counters = heard.buffer.counters();
    assert_eq!((counters.decoded, counters.late, counters.repaired), (500, 0, 0));
    assert!(counters.concealed <= 480 * 6, "{counters:?}");
    // 20 ms of packet and 5 ms of network cannot be helped.
    assert!((25..=52).contains(&heard.delay_after(0.5)), "{} ms", heard.delay_after(0.5));
    let source: Vec<i16> = (0..480_000).map(voice).collect();
    assert!(
        steepest(&heard.sound) < steepest(&source) * 2,
        "no clicks: {} for {}",
        steepest(&heard.sound),
        steepest(&source)
    );
}

#[test]
fn jitter_is_bridged_and_the_delay_follows_it_up_and_down() {
    // 40 ms of jitter in the middle third.
    let heard =
        call(1500, 0.0, Duration::ZERO, |n| Some(if (500..1000).contains(&n) { (n * 17 % 41) as u64 } else { 3 }));
    let third = heard.delays.len() / 3;
    let mean = |range: std::ops::Range<usize>| {
        let part = &heard.delays[range];
        part.iter().sum::<i64>() / part.len() as i64
    };
    let (before, during, after) =
        (mean(100..third - 50), mean(third + 200..2 * third - 50), mean(2 * third + 500..3 * third - 50));
    assert!(during > before + 15, "{before} {during} {after}");
    assert!(after < during - 10, "{before} {during} {after}");
    assert!(during < before + 70, "{before} {during} {after}");
    let counters = heard.buffer.counters();
    assert!(counters.concealed < counters.played / 50, "{counters:?}");
    assert!(counters.adjusted > 0);
    // The test goes on for 200 ms after the last packet.
    assert!(heard.silences <= 25, "the voice never stopped in between: {}", heard.silences);
}

#[test]
fn lost_packets_are_repaired_from_the_next_one() {
    let heard = call(1000, 0.1, Duration::ZERO, |n| (n % 20 != 10).then_some(5));
    let counters = heard.buffer.counters();
    // The first losses find no room for their repair.
    assert!(counters.repaired > 40 * 480, "{counters:?}");
    assert!(counters.repaired + counters.concealed <= 62 * 960, "{counters:?}");
    let half = heard.delays.len() / 2;
    assert!(heard.delays[half..].iter().all(|&delay| delay < 90), "delay stays small");
}

#[test]
fn everything_heard_is_a_loss_or_played_once() {
    let heard = call(600, 0.2, Duration::ZERO, |n| (n * 7919 % 100 >= 15).then_some((n * 31 % 25) as u64));
    let counters = heard.buffer.counters();
    let lost = 600 - counters.received;
    assert_eq!(counters.decoded + counters.late, counters.received);
    let made = counters.decoded * 960 + counters.repaired + counters.concealed;
    assert!(made >= (600 - 10) * 960, "{lost} lost, {counters:?}");
    assert!(counters.late < 10, "{counters:?}");
}

#[test]
fn a_stall_does_not_leave_delay_behind() {
    // Nothing for a second, then all of it at once.
    let heard =
        call(700, 0.0, Duration::ZERO, |n| Some(if (200..250).contains(&n) { (250 - n as u64) * 20 + 5 } else { 5 }));
    let end = heard.delay_after(0.8);
    assert!(end < 80, "{end} ms");
    assert!(heard.buffer.counters().late > 20, "old sound was left out: {:?}", heard.buffer.counters());
}

#[test]
fn a_sender_that_stops_is_silent_and_starts_again() {
    let heard = call(400, 0.0, Duration::ZERO, |n| (!(100..200).contains(&n)).then_some(5));
    assert!(heard.silences > 180, "{}", heard.silences);
    let counters = heard.buffer.counters();
    assert_eq!(counters.decoded, 300);
    assert!(counters.concealed < 9 * 960, "a stop is not guessed at for long: {counters:?}");
}

#[test]
fn a_hold_is_reached_and_kept() {
    let heard = call(800, 0.0, Duration::from_millis(120), |_| Some(5));
    let end = heard.delay_after(0.7);
    assert!((125..=170).contains(&end), "{end} ms");
}

#[test]
fn a_slower_clock_at_the_sender_costs_corrections_not_gaps() {
    // 200 ppm: a millisecond every five seconds.
    let heard = call(3000, 0.0, Duration::ZERO, |n| Some(5 + n as u64 / 250));
    let counters = heard.buffer.counters();
    assert!(counters.concealed < 480 * 10, "{counters:?}");
    let faster = call(3000, 0.0, Duration::ZERO, |n| Some(20 - n as u64 / 250));
    let end = faster.delay_after(0.9);
    assert!(end < 25 + 60, "{end} ms");
}

#[test]
fn garbage_and_doubles_are_dropped() {
    let mut buffer = VoiceBuffer::new().expect("buffer");
    let at = Monotonic::from_millis(1000);
    buffer.insert(VoicePacket { arrived: at, timestamp: 0, payload: Bytes::new() });
    buffer.insert(VoicePacket { arrived: at, timestamp: 0, payload: Bytes::from_static(&[0x7b, 0x00]) });
    let packet = VoicePacket { arrived: at, timestamp: 960, payload: Bytes::from_static(&[0x78, 1, 2, 3]) };
    buffer.insert(packet.clone());
    buffer.insert(packet);
    assert_eq!((buffer.counters().received, buffer.counters().late), (4, 1));
    assert!(buffer.waiting() >= Duration::from_millis(10));
}

/// Packets of 20 ms with 300 Hz on the left and the same, turned around, on the right; mono ones with the tone alone.
fn sided_packets(channels: impl Fn(usize) -> Channels, count: usize) -> Vec<VoicePacket> {
    let make = |channels| OpusEncoder::new(OpusSettings { bits_per_second: 96_000, channels }).expect("encoder");
    let (mut mono, mut stereo) = (make(Channels::Mono), make(Channels::Stereo));
    let tone = |sample: usize| (6000.0 * (sample as f64 * 300.0 / 48_000.0 * std::f64::consts::TAU).sin()) as i16;
    (0..count)
        .map(|n| {
            let sound = n * PACKET..(n + 1) * PACKET;
            let mut payload = vec![0; 1500];
            let length = match channels(n) {
                Channels::Mono => mono.encode(&sound.map(tone).collect::<Vec<_>>(), &mut payload),
                Channels::Stereo => {
                    stereo.encode(&sound.flat_map(|i| [tone(i), -tone(i)]).collect::<Vec<_>>(), &mut payload)
                }
            };
            payload.truncate(length.expect("encoded"));
            let arrived = Monotonic::from_millis(1000 + n as u64 * 20);
            VoicePacket { arrived, timestamp: (n * PACKET) as u32, payload: Bytes::from(payload) }
        })
        .collect()
}

#[test]
fn both_sides_are_lost_repaired_and_stretched_together() {
    let mut buffer = VoiceBuffer::new().expect("buffer");
    buffer.set_hold(Duration::from_millis(120));
    let mut heard = Vec::new();
    for (n, packet) in sided_packets(|_| Channels::Stereo, 500).into_iter().enumerate() {
        if n == 400 {
            buffer.set_hold(Duration::ZERO);
        }
        let now = packet.arrived;
        if n % 25 != 20 {
            buffer.insert(packet);
        }
        for half in 0..2 {
            let mut frame = Frame::silent(Channels::Mono);
            if let Pulled::Sound(_) = buffer.pull(now + Duration::from_millis(half * 10), &mut frame) {
                assert_eq!(frame.channels(), Channels::Stereo);
                heard.extend_from_slice(frame.samples());
            }
        }
    }
    let counters = buffer.counters();
    assert!(counters.adjusted > 4800 && counters.repaired > 0, "{counters:?}");
    let settled = heard[96_000..].as_chunks::<2>().0;
    let sides: f64 = settled.iter().map(|&[left, right]| (f64::from(left) - f64::from(right)).powi(2)).sum();
    let middle: f64 = settled.iter().map(|&[left, right]| (f64::from(left) + f64::from(right)).powi(2)).sum();
    assert!(middle < sides / 1000.0, "the right side is the left one turned around: {}", middle / sides);
}

#[test]
fn a_voice_is_mono_until_it_has_two_sides_and_stereo_from_then_on() {
    let mut buffer = VoiceBuffer::new().expect("buffer");
    let mut seen: Vec<(usize, Channels)> = Vec::new();
    let kind = |n| if (100..150).contains(&n) { Channels::Stereo } else { Channels::Mono };
    for (n, packet) in sided_packets(kind, 250).into_iter().enumerate() {
        let now = packet.arrived;
        buffer.insert(packet);
        for half in 0..2 {
            let mut frame = Frame::silent(Channels::Mono);
            if let Pulled::Sound(_) = buffer.pull(now + Duration::from_millis(half * 10), &mut frame)
                && seen.last().is_none_or(|(_, last)| *last != frame.channels())
            {
                seen.push((n, frame.channels()));
            }
            if n > 160 {
                assert!(frame.samples().as_chunks::<2>().0.iter().all(|[left, right]| left.abs_diff(*right) < 200));
            }
        }
    }
    let kinds: Vec<Channels> = seen.iter().map(|(_, channels)| *channels).collect();
    assert_eq!(kinds, [Channels::Mono, Channels::Stereo], "{seen:?}");
    assert!((99..110).contains(&seen[1].0), "{seen:?}");
    assert_eq!(buffer.counters().concealed, 0, "no gap where it changes: {:?}", buffer.counters());
}

/// Speech, three seconds of silence and speech again from an encoder with discontinuous transmission, sent as browsers do: of the
/// packets in a row that only say "silence" just the first goes out.
#[test]
fn a_sender_that_stops_while_it_is_silent_is_not_broken() {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).expect("encoder");
    encoder.set_dtx(true).expect("discontinuous transmission");
    encoder.set_inband_fec(true).expect("forward error correction");
    let mut buffer = VoiceBuffer::new().expect("buffer");
    let (mut pausing, mut sent, mut silences) = (false, 0, 0);
    let mut delays = Vec::new();
    for n in 0..300 {
        let speaks = !(75..225).contains(&n);
        let samples: [i16; PACKET] = std::array::from_fn(|i| if speaks { voice(n * PACKET + i) } else { 0 });
        let mut payload = vec![0; 1500];
        let length = encoder.encode(&samples, &mut payload).expect("encoded");
        payload.truncate(length);
        let pauses = payload.len() <= 2;
        let arrives = 1020 + n as u64 * 20;
        if !pauses || !std::mem::replace(&mut pausing, pauses) {
            let arrived = Monotonic::from_millis(arrives);
            buffer.insert(VoicePacket { arrived, timestamp: (n * PACKET) as u32, payload: Bytes::from(payload) });
            sent += 1;
        }
        pausing = pauses;
        for half in [3, 13] {
            let mut frame = Frame::silent(Channels::Mono);
            match buffer.pull(Monotonic::from_millis(arrives + half), &mut frame) {
                Pulled::Sound(timestamp) => delays.push(arrives as i64 - 1000 - i64::from(timestamp) / 48),
                Pulled::Silence => silences += usize::from(!delays.is_empty()),
            }
        }
    }
    let counters = buffer.counters();
    assert!(sent < 200, "the encoder really stopped: {sent} of 300 packets");
    assert_eq!((silences, counters.repaired, counters.late), (0, 0, 0), "{counters:?}");
    assert!(counters.concealed <= 480 * 6, "{counters:?}");
    assert!(delays.iter().all(|delay| (0..=80).contains(delay)), "{delays:?}");
    // One that does not come back is gone after all.
    let mut frame = Frame::silent(Channels::Mono);
    let pulled: Vec<Pulled> =
        (0..200).map(|pull| buffer.pull(Monotonic::from_millis(7020 + pull * 10), &mut frame)).collect();
    assert_eq!(pulled.last(), Some(&Pulled::Silence));
}

#[test]
fn a_packet_inside_of_the_one_before_it_is_left_out() {
    let mut buffer = VoiceBuffer::new().expect("a decoder");
    let mut frame = Frame::silent(Channels::Mono);
    let mut now = Monotonic::from_millis(1_000);
    // 60 ms, and 20 ms that begin before those are over (RFC 6716 section 3.1).
    for (timestamp, toc) in [(48_000, 3 << 3), (48_960, 1 << 3)] {
        let payload = Bytes::copy_from_slice(&[toc, 1, 2, 3]);
        buffer.insert(VoicePacket { arrived: now, timestamp, payload });
    }
    for _ in 0..30 {
        now = now + Duration::from_millis(10);
        let _ = buffer.pull(now, &mut frame);
    }
    let counters = buffer.counters();
    assert_eq!((counters.received, counters.taken, counters.late), (2, 1, 1));
}
