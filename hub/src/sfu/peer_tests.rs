//! What is negotiated, which source a section sends from over several negotiations, and what it carries.

use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::rtp::ExtensionValues;
use str0m::{Candidate, Rtc};

use super::delivery::LARGEST_PAYLOAD;
use super::extensions::DependencyDescriptor;
use super::loopback::{CLIENT, HUB, connect, turn};
use super::packet::Packet;
use super::peer::Peer;
use super::{LastSequence, Member, PeerId, SectionChange, Side, TrackKind, Use};
use crate::sdp;

/// The track that is delivered, and another one.
const TRACK: u64 = 1;
const OTHER: u64 = 2;

fn peer(side: Side) -> Peer {
    let member = Member {
        room: 1,
        identity: "desk".into(),
        sid: "PA_desk".into(),
        may_send_data: true,
        any_certificate: false,
        last_sequence: LastSequence::default(),
    };
    Peer::new(PeerId { participant: 1, side }, member, [HUB].into_iter(), [].into_iter(), Instant::now())
}

/// SSRC of the first source that a description tells.
fn source(description: &str) -> Option<&str> {
    description.lines().find_map(|line| line.strip_prefix("a=ssrc:")?.split(' ').next())
}

/// Codecs and header extensions of a description's first section, in its order.
fn formats(description: &str) -> (Vec<String>, Vec<&str>) {
    let section = sdp::sections(description).remove(0);
    let named = |payload_type: &String| section.codecs.iter().find(|(number, _)| number == payload_type);
    let codecs = section.payload_types.iter().filter_map(named).map(|(_, codec)| codec.clone()).collect();
    let extensions = description.lines().filter_map(|line| line.strip_prefix("a=extmap:")?.split(' ').nth(1));
    (codecs, extensions.collect())
}

/// A client that takes everything which the hub forwards.
fn client() -> Rtc {
    let config = Rtc::builder().enable_av1(true).set_extension(8, DependencyDescriptor::extension());
    config.build(Instant::now())
}

#[test]
fn av1_and_its_descriptor_are_negotiated_whoever_offers() {
    const URI: &str = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
    let (mut hub, mut other) = (peer(Side::Subscriber), client());
    let (offer, _) = hub.make_offer(&[SectionChange::Add(TRACK, TrackKind::Video)], false).expect("an offer");
    let (codecs, extensions) = formats(&offer);
    let once = |codecs: &[String]| {
        let mut names: Vec<String> = codecs.iter().filter(|codec| *codec != "RTX").cloned().collect();
        names.dedup();
        names
    };
    assert_eq!(once(&codecs), ["VP8", "H264", "VP9", "AV1"]);
    assert_eq!(codecs.last().map(String::as_str), Some("RTX"), "AV1 has one, too");
    assert!(extensions.contains(&URI), "{extensions:?}");
    let read = SdpOffer::from_sdp_string(&offer).expect("readable");
    let answer = other.sdp_api().accept_offer(read).expect("an answer").to_sdp_string();
    assert!(formats(&answer).0.contains(&"AV1".to_owned()) && formats(&answer).1.contains(&URI), "{answer}");
    hub.accept_answer(&answer, Instant::now()).expect("accepted");

    let (mut hub, mut other) = (peer(Side::Publisher), client());
    let mut api = other.sdp_api();
    let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, _) = api.apply().expect("a change");
    let uses = [(mid.to_string(), Use::Publish(TRACK))];
    let answer = hub.accept_offer(&offer.to_sdp_string(), &uses, Instant::now()).expect("an answer");
    let (codecs, extensions) = formats(&answer);
    assert!(codecs.contains(&"AV1".to_owned()) && extensions.contains(&URI), "{answer}");
}

#[test]
fn a_section_whose_client_offers_begins_anew_with_another_source() {
    let mut hub = peer(Side::Publisher);
    let mut client = Rtc::builder().build(Instant::now());
    let mut section: Option<Mid> = None;
    let mut negotiate = |uses: &[u64]| {
        let mut api = client.sdp_api();
        let mid =
            *section.get_or_insert_with(|| api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
        // Something that makes an offer necessary.
        api.ice_restart(true);
        let (offer, pending) = api.apply().expect("a change");
        let uses: Vec<_> = uses.iter().map(|track| (mid.to_string(), Use::Deliver(*track))).collect();
        let answer = hub.accept_offer(&offer.to_sdp_string(), &uses, Instant::now()).expect("an answer");
        let accepted = SdpAnswer::from_sdp_string(&answer).expect("readable");
        client.sdp_api().accept_answer(pending, accepted).expect("accepted");
        source(&answer).map(str::to_owned)
    };
    let first = negotiate(&[TRACK]);
    assert!(first.is_some());
    assert_eq!(negotiate(&[TRACK]), first, "what is delivered goes on");
    negotiate(&[]);
    let second = negotiate(&[TRACK]);
    assert!(second.is_some() && second != first, "the same track once more: {second:?} after {first:?}");
    negotiate(&[]);
    let third = negotiate(&[OTHER]);
    assert!(third.is_some() && third != second && third != first, "another track: {third:?}");
}

#[test]
fn a_section_that_the_hub_offers_begins_anew_with_another_source() {
    let mut hub = peer(Side::Subscriber);
    let mut client = Rtc::builder().build(Instant::now());
    let mut negotiate = |changes: &[SectionChange], ice_restart: bool| {
        let (offer, added) = hub.make_offer(changes, ice_restart).expect("an offer");
        let read = SdpOffer::from_sdp_string(&offer).expect("readable");
        let answer = client.sdp_api().accept_offer(read).expect("an answer");
        hub.accept_answer(&answer.to_sdp_string(), Instant::now()).expect("accepted");
        (source(&offer).map(str::to_owned), added)
    };
    let (first, added) = negotiate(&[SectionChange::Add(TRACK, TrackKind::Video)], false);
    let mid = added[0].1.clone();
    assert!(first.is_some());
    assert_eq!(negotiate(&[], true).0, first, "what is delivered goes on");
    negotiate(&[SectionChange::Stop(mid.clone())], false);
    let (second, _) = negotiate(&[SectionChange::Reuse(mid, TRACK)], false);
    assert!(second.is_some() && second != first, "the same track once more: {second:?} after {first:?}");
}

#[test]
fn what_is_larger_than_any_network_carries_is_left_out() {
    let start = Instant::now();
    let mut hub = peer(Side::Publisher);
    let mut client = Rtc::builder().set_extension(12, DependencyDescriptor::extension()).build(start);
    client.add_local_candidate(Candidate::host(CLIENT, "udp").expect("an address"));
    let mut api = client.sdp_api();
    let mid = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().expect("a change");
    let uses = [(mid.to_string(), Use::Deliver(TRACK))];
    let answer = hub.accept_offer(&offer.to_sdp_string(), &uses, start).expect("an answer");
    client.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).expect("readable")).expect("accepted");
    assert_eq!(connect(&mut hub.rtc, &mut client, start), Ok(true));
    let params = *hub.rtc.codec_config().find(|params| params.spec().codec == Codec::Vp8).expect("configured");
    let mut now = start + Duration::from_secs(20);
    for (sequence, (length, expected)) in
        [(1000, true), (LARGEST_PAYLOAD, true), (LARGEST_PAYLOAD + 1, false), (4000, false)].into_iter().enumerate()
    {
        let mut extensions = ExtensionValues::default();
        // The longest that there is.
        extensions.user_values.set(DependencyDescriptor([7; 255].into()));
        let packet = Packet {
            source: 1,
            payload_type: params.pt(),
            sequence: sequence as u64,
            timestamp: 0,
            marker: true,
            extensions,
            made_at: now,
            payload: vec![7; length].into(),
        };
        assert_eq!(hub.write(TRACK, &packet, &params), expected, "{length}");
        now += Duration::from_millis(50);
        let left = turn(&mut hub.rtc, now, &mut true).expect("driven");
        assert_eq!(left.iter().any(|datagram| datagram.len() > length + 255), expected, "{length}");
    }
}
