//! The floor of a call's cost: the same codecs with the same settings, in real time, over bare UDP. No RTP, no
//! encryption, no pacing, no jitter buffer. What zegod takes more than this is its own overhead.
//!
//! `floor send` reads Y4M from a FIFO as zegod's camera `file:` does, `floor receive` writes Y4M to standard output as
//! its `pipe` view does, so that both pay for the same copies.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::thread;

use clap::Parser;
use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, RateControlMode, UsageType,
};
use openh264::formats::{YUVSlices, YUVSource};
use zego_tools::{clock, sound, y4m};

/// Payload of a datagram, about that of an RTP packet.
const PIECE: usize = 1180;
/// Number, piece and count of pieces before the payload; `SOUND` marks a sound packet.
const HEADER: usize = 8;
const SOUND: [u8; HEADER] = [0xff; HEADER];
/// Samples of an Opus packet of 20 ms.
const OPUS_FRAME: usize = 960;

/// The codec-only pipeline that zegod is compared with.
#[derive(Parser)]
enum Arguments {
    /// Encodes and sends.
    Send {
        /// Y4M input, usually a FIFO.
        input: PathBuf,
        /// ADDRESS:PORT of `floor receive`.
        to: String,
        /// Video bit rate in kbit/s.
        #[arg(long, default_value_t = 2000)]
        kbps: u32,
        /// WAV file that is spoken, looped.
        #[arg(long)]
        sound: Option<PathBuf>,
        /// Seconds between key frames.
        #[arg(long, default_value_t = 2)]
        key_frame_interval: u32,
    },
    /// Receives, decodes and writes Y4M to standard output.
    Receive {
        /// ADDRESS:PORT to listen on.
        at: String,
    },
}

fn main() -> io::Result<()> {
    match Arguments::parse() {
        Arguments::Send { input, to, kbps, sound, key_frame_interval } => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(to)?;
            if let Some(sound) = sound {
                let socket = socket.try_clone()?;
                let samples = sound::samples_of_wav(&std::fs::read(sound)?);
                thread::spawn(move || speak(&socket, &samples));
            }
            send(&socket, &input, kbps, key_frame_interval)
        }
        Arguments::Receive { at } => match receive(&UdpSocket::bind(at)?) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        },
    }
}

fn send(socket: &UdpSocket, input: &PathBuf, kbps: u32, key_frame_interval: u32) -> io::Result<()> {
    let mut reader = y4m::Reader::new(BufReader::with_capacity(1 << 16, File::open(input)?))?;
    let (width, height) = (reader.header().width, reader.header().height);
    let configuration = EncoderConfig::new()
        .bitrate(BitRate::from_bps(kbps * 1000))
        .max_frame_rate(FrameRate::from_hz(30.0))
        .usage_type(UsageType::CameraVideoRealTime)
        .rate_control_mode(RateControlMode::Bitrate)
        .complexity(Complexity::Low)
        .profile(Profile::Baseline)
        .intra_frame_period(IntraFramePeriod::from_num_frames(key_frame_interval * 30))
        .skip_frames(false)
        .num_threads(1);
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), configuration).map_err(io::Error::other)?;
    let (mut frame, mut unit, mut packet) = (Vec::new(), Vec::new(), Vec::with_capacity(HEADER + PIECE));
    let begin = clock::now();
    let mut number = 0_u32;
    while reader.read(&mut frame)? {
        let (y, chroma) = frame.split_at(width * height);
        let (u, v) = chroma.split_at(width * height / 4);
        let picture = YUVSlices::new((y, u, v), (width, height), (width, width / 2, width / 2));
        let time = openh264::Timestamp::from_millis((clock::now() - begin) / 1_000_000);
        unit.clear();
        encoder.encode_at(&picture, time).map_err(io::Error::other)?.write_vec(&mut unit);
        let count = u16::try_from(unit.len().div_ceil(PIECE)).map_err(io::Error::other)?;
        for (piece, bytes) in (0_u16..).zip(unit.chunks(PIECE)) {
            packet.clear();
            packet.extend(number.to_be_bytes());
            packet.extend(piece.to_be_bytes());
            packet.extend(count.to_be_bytes());
            packet.extend(bytes);
            // Nobody there yet: the call starts without us.
            let _ = socket.send(&packet);
        }
        number += 1;
    }
    Ok(())
}

fn speak(socket: &UdpSocket, samples: &[i16]) {
    let Ok(mut encoder) = opus::Encoder::new(sound::RATE, opus::Channels::Mono, opus::Application::Voip) else {
        return;
    };
    let settings = [
        encoder.set_bitrate(opus::Bitrate::Bits(32_000)),
        encoder.set_inband_fec(true),
        encoder.set_packet_loss_perc(10),
    ];
    if let Some(Err(error)) = settings.into_iter().find(Result::is_err) {
        eprintln!("opus: {error}");
    }
    let mut packet = [0; 1500];
    packet[..HEADER].copy_from_slice(&SOUND);
    let begin = clock::now();
    for (number, frame) in (0_u64..).zip(samples.chunks_exact(OPUS_FRAME).cycle()) {
        clock::sleep_until(begin + number * 20_000_000);
        match encoder.encode(frame, &mut packet[HEADER..]) {
            Ok(length) => _ = socket.send(&packet[..HEADER + length]),
            Err(error) => eprintln!("opus: {error}"),
        }
    }
}

fn receive(socket: &UdpSocket) -> io::Result<()> {
    let configuration = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let mut pictures = Decoder::with_api_config(OpenH264API::from_source(), configuration).map_err(io::Error::other)?;
    let mut voice = opus::Decoder::new(sound::RATE, opus::Channels::Mono).map_err(io::Error::other)?;
    let mut samples = vec![0; 5760];
    let mut packet = vec![0; 2048];
    let mut unit = Vec::new();
    let mut writer = None;
    loop {
        let length = socket.recv(&mut packet)?;
        let (header, payload) = packet[..length].split_at(HEADER.min(length));
        if header == SOUND {
            voice.decode(payload, &mut samples, false).map_err(io::Error::other)?;
            continue;
        }
        let [_, _, _, _, piece_high, piece_low, count_high, count_low] = *header else { continue };
        let piece = u16::from_be_bytes([piece_high, piece_low]);
        if piece == 0 {
            unit.clear();
        }
        unit.extend_from_slice(payload);
        if piece + 1 < u16::from_be_bytes([count_high, count_low]) {
            continue;
        }
        let Ok(Some(picture)) = pictures.decode_with_options(&unit, DecodeOptions::new()) else { continue };
        let (width, height) = picture.dimensions();
        if writer.is_none() {
            let output = BufWriter::with_capacity(1 << 16, io::stdout());
            writer = Some(y4m::Writer::new(output, &y4m::Header { width, height, rate: (30, 1) })?);
        }
        let (stride_y, stride_u, stride_v) = picture.strides();
        let planes: Vec<&[u8]> = rows(picture.y(), stride_y, width, height)
            .chain(rows(picture.u(), stride_u, width / 2, height / 2))
            .chain(rows(picture.v(), stride_v, width / 2, height / 2))
            .collect();
        if let Some(writer) = &mut writer {
            writer.write(&planes)?;
        }
    }
}

/// The rows of a plane without their padding.
fn rows(plane: &[u8], stride: usize, width: usize, height: usize) -> impl Iterator<Item = &[u8]> {
    (0..height).map(move |row| &plane[row * stride..][..width])
}
