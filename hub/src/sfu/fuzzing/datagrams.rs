//! Datagrams of a client that is connected: STUN, DTLS, RTP and RTCP, and what goes on to somebody else of the media in them.
//!
//! There is no cryptography, so that what is inside packets is reached: the content is in clear, and all tags are zero.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use str0m::crypto::dtls::{KeyingMaterial, SrtpProfile};
use str0m::crypto::{
    Aes128CmSha1_80Cipher, CryptoError, CryptoProvider, Sha1HmacProvider, SrtpProvider, SupportedAeadAes128Gcm,
    SupportedAeadAes256Gcm, SupportedAes128CmSha1_80, from_feature_flags,
};
use str0m::format::{Codec, PayloadParams};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::RtpPacket;
use str0m::{Event, Input, Output};
use zego_media_stream::Deframer;

use super::super::extensions::DependencyDescriptor;
use super::super::packet::Packet;
use super::super::peer::Peer;
use super::super::{TrackKey, Use, codec, data, dependency_descriptor, vp9};
use super::publisher;

/// Sound (SSRC 1) and a picture in three encodings that the client sends, a picture and sound that it receives, and data channels.
const OFFER: &str = include_str!("offer.sdp");
/// How the sections are used: what comes in on the first two goes out on the others.
const SOUND: TrackKey = 1;
const PICTURE: TrackKey = 2;
/// Bytes of a tag (RFC 3711, section 4.2).
const TAG: usize = 10;
/// The number of an RTCP packet that is not encrypted (RFC 3711, section 3.4).
const CLEAR: [u8; 4] = [0; 4];
/// Datagrams of one input, one every 5 ms.
const MOST: usize = 64;
const APART: Duration = Duration::from_millis(5);
/// What one datagram may lead to: a second's packets may be asked for again, and more is a loop.
const OUTPUTS: usize = 10_000;

/// Ciphers that change nothing, and tags that are zero.
#[derive(Debug)]
struct Clear;

impl Aes128CmSha1_80Cipher for Clear {
    fn encrypt(&mut self, _: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        output[..input.len()].copy_from_slice(input);
        Ok(())
    }

    fn decrypt(&mut self, iv: &[u8; 16], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.encrypt(iv, input, output)
    }
}

impl SupportedAes128CmSha1_80 for Clear {
    fn create_cipher(&self, _: [u8; 16], _: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        Box::new(Clear)
    }
}

impl Sha1HmacProvider for Clear {
    fn sha1_hmac(&self, _: &[u8], _: &[&[u8]]) -> [u8; 20] {
        [0; 20]
    }
}

/// The library's own, but for the profile that is used here.
#[derive(Debug)]
struct ClearSrtp(&'static dyn SrtpProvider);

impl SrtpProvider for ClearSrtp {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &Clear
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        self.0.aead_aes_128_gcm()
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        self.0.aead_aes_256_gcm()
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.0.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.0.srtp_aes_256_ecb_round(key, input, output);
    }
}

/// A peer connection that has its keys.
fn connected(now: Instant) -> Peer {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let own = from_feature_flags();
        let srtp_provider = Box::leak(Box::new(ClearSrtp(own.srtp_provider)));
        CryptoProvider { srtp_provider, sha1_hmac_provider: &Clear, ..own }.install_process_default();
    });
    let mut peer = publisher(now);
    let uses = [Use::Publish(SOUND), Use::Publish(PICTURE), Use::Deliver(PICTURE), Use::Deliver(SOUND)];
    let uses: Vec<(String, Use)> = (0..).map(|mid: u8| mid.to_string()).zip(uses).collect();
    peer.accept_offer(OFFER, &uses, now).expect("a good offer");
    peer.add_candidate("candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host");
    peer.rtc._set_srtp_keys(KeyingMaterial::new(&[7; 60]), SrtpProfile::AES128_CM_SHA1_80, false);
    peer
}

/// Datagrams, each behind its length; media and reports without their tags.
pub fn datagrams(stream: &[u8]) {
    let mut now = Instant::now();
    let mut peer = connected(now);
    settle(&mut peer, now);
    let (mut deframer, mut datagram) = (Deframer::default(), Vec::new());
    deframer.push(stream);
    for _ in 0..MOST {
        if !matches!(deframer.next(&mut datagram), Ok(true)) {
            return;
        }
        now += APART;
        seal(&mut datagram);
        let Ok(contents) = DatagramRecv::try_from(datagram.as_slice()) else { continue };
        let (source, destination) = (([127, 0, 0, 1], 50_000).into(), ([127, 0, 0, 1], 7882).into());
        let input = Input::Receive(now, Receive { proto: Protocol::Udp, source, destination, contents });
        let _ = peer.rtc.accepts(&input);
        if !peer.transport_sequence.admits(&datagram) {
            continue;
        }
        if peer.rtc.handle_input(input).is_err() {
            return;
        }
        settle(&mut peer, now);
    }
}

/// Completes media and reports (told apart by RFC 5761, section 4).
fn seal(datagram: &mut Vec<u8>) {
    if datagram.first().is_some_and(|first| (128..192).contains(first)) {
        if datagram.get(1).is_some_and(|second| (192..224).contains(second)) {
            datagram.extend_from_slice(&CLEAR);
        }
        datagram.extend_from_slice(&[0; TAG]);
    }
}

/// Takes all that a peer has to say, and passes its media on to itself.
fn settle(peer: &mut Peer, now: Instant) {
    let mut packets = Vec::new();
    for turn in 0..2 {
        for count in 0.. {
            assert!(count < OUTPUTS, "there is no end to what a datagram leads to");
            match peer.rtc.poll_output() {
                Ok(Output::Event(event)) => packets.extend(taken(peer, event)),
                Ok(Output::Transmit(_)) => {}
                Ok(Output::Timeout(_)) | Err(_) => break,
            }
        }
        for (track, packet, params) in packets.drain(..) {
            peer.write(track, &Packet::new(&packet, params.spec().codec, now), &params);
        }
        if turn == 0 && peer.rtc.handle_input(Input::Timeout(now)).is_err() {
            return;
        }
    }
}

/// What the hub does with an event; media that goes on.
fn taken(peer: &mut Peer, event: Event) -> Option<(TrackKey, RtpPacket, PayloadParams)> {
    match event {
        Event::RtpPacket(packet) => {
            if let Some(number) = packet.header.ext_vals.transport_cc {
                peer.transport_sequence.received(number);
            }
            let stream = peer.rtc.direct_api().stream_rx(&packet.header.ssrc).map(|stream| stream.mid())?;
            let (_, track) = peer.publishing.iter().find(|(mid, _)| *mid == stream).copied()?;
            let payload_type = packet.header.payload_type;
            let named = |p: &PayloadParams| p.pt() == payload_type || p.red() == Some(payload_type);
            let params = peer.rtc.codec_config().find(named).copied()?;
            let _ = match params.spec().codec {
                Codec::H264 => codec::h264_key_frame(&packet.payload),
                Codec::Vp8 => codec::vp8_key_frame(&packet.payload),
                Codec::Av1 => DependencyDescriptor::of(&packet.header.ext_vals)
                    .is_some_and(|descriptor| dependency_descriptor::begins_key_frame(&descriptor.0)),
                _ => vp9::Descriptor::parse(&packet.payload).is_some_and(|vp9| vp9.begins_key_frame()),
            };
            return Some((track, packet, params));
        }
        Event::ChannelOpen(id, label) => peer.channel_open(id, &label),
        Event::ChannelClose(id) => peer.channel_closed(id),
        Event::ChannelData(message) => drop(data::relay(&message.data, "door", "PA_1")),
        Event::MediaIngressStats(stats) => peer.reports.incoming(&stats),
        Event::MediaEgressStats(stats) => peer.reports.outgoing(&stats),
        _ => {}
    }
    None
}
