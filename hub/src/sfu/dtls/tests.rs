//! Handshakes with another OpenSSL, on networks that lose and send nonsense; and what str0m makes of them.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslContextBuilder, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509NameBuilder};
use proptest::collection::vec;
use proptest::prelude::*;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::crypto::dtls::{DtlsCert, DtlsInstance, DtlsOutput};
use str0m::media::{Direction, MediaKind};
use str0m::{Candidate, Rtc};

use super::OPENSSL;
use super::connection::{Connection, EVENTS, LABEL, PATIENCE, REPEATS};
use super::datagrams::{Datagrams, WAITING};
use crate::sfu::loopback::{CLIENT, HUB, connect};
use crate::sfu::peer::Peer;
use crate::sfu::{LastSequence, Member, PeerId, Side};

/// OpenSSL repeats its first flight after a second, by the machine's clock.
const REPEATED: Duration = Duration::from_millis(1100);

/// Kinds of a client's key.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Rsa,
    Ec,
}

/// A certificate of a client. One of each kind is enough: RSA keys take a while.
fn certificate(kind: Kind) -> DtlsCert {
    static RSA: LazyLock<DtlsCert> = LazyLock::new(|| make(Kind::Rsa));
    static EC: LazyLock<DtlsCert> = LazyLock::new(|| make(Kind::Ec));
    match kind {
        Kind::Rsa => RSA.clone(),
        Kind::Ec => EC.clone(),
    }
}

fn make(kind: Kind) -> DtlsCert {
    let key: PKey<Private> = match kind {
        Kind::Rsa => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        Kind::Ec => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        }
    };
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "client").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    DtlsCert { certificate: builder.build().to_der().unwrap(), private_key: key.private_key_to_der().unwrap() }
}

/// A client as any program with OpenSSL has one.
struct Client {
    stream: SslStream<Datagrams>,
    active: bool,
    der: Vec<u8>,
    done: bool,
    heard: Vec<u8>,
}

impl Client {
    fn new(kind: Kind, active: bool, profiles: &str) -> Client {
        let own = certificate(kind);
        let mut context = SslContextBuilder::new(SslMethod::dtls()).unwrap();
        context.set_certificate(&X509::from_der(&own.certificate).unwrap()).unwrap();
        context.set_private_key(&PKey::private_key_from_der(&own.private_key).unwrap()).unwrap();
        context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        if !profiles.is_empty() {
            context.set_tlsext_use_srtp(profiles).unwrap();
        }
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.set_mtu(1200).unwrap();
        let stream = SslStream::new(ssl, Datagrams::default()).unwrap();
        Client { stream, active, der: own.certificate, done: false, heard: Vec::new() }
    }

    /// Goes on, with what came.
    fn turn(&mut self, datagram: Option<&[u8]>) {
        if let Some(datagram) = datagram {
            self.stream.get_mut().came(datagram);
        }
        if !self.done {
            self.done = if self.active { self.stream.connect() } else { self.stream.accept() }.is_ok();
        }
        if self.done {
            let mut data = [0; 2000];
            while let Ok(length) = self.stream.ssl_read(&mut data) {
                self.heard.extend_from_slice(&data[..length]);
            }
        }
    }

    fn leaving(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.stream.get_mut().pop()).collect()
    }

    fn keys(&self, length: usize) -> Vec<u8> {
        let mut keys = vec![0; length];
        self.stream.ssl().export_keying_material(&mut keys, LABEL, None).unwrap();
        keys
    }
}

/// The hub's side, and what it told.
struct Hub {
    connection: Connection,
    told: Vec<String>,
    der: Vec<u8>,
    keys: Vec<u8>,
    data: Vec<u8>,
    leaving: VecDeque<Vec<u8>>,
    next: Instant,
}

impl Hub {
    fn new(active: bool, now: Instant) -> Hub {
        let openssl = OPENSSL.as_ref().unwrap();
        let own = openssl.certificates.generate_certificate().unwrap();
        let mut connection = openssl.connection(&own, now, 1150).unwrap();
        // As str0m does.
        connection.set_active(active);
        connection.handle_timeout(now).unwrap();
        connection.handle_packet(&[]).unwrap();
        let (told, der, keys, data) = Default::default();
        let mut hub = Hub { connection, told, der, keys, data, leaving: VecDeque::new(), next: now };
        hub.poll();
        hub
    }

    fn poll(&mut self) {
        let mut buffer = [0; 2000];
        loop {
            match self.connection.poll_output(&mut buffer) {
                DtlsOutput::Packet(datagram) => self.leaving.push_back(datagram.to_vec()),
                DtlsOutput::PeerCert(der) => {
                    self.told.push("certificate".to_owned());
                    self.der = der.to_vec();
                }
                DtlsOutput::KeyingMaterial(keys, profile) => {
                    self.told.push(profile.to_string());
                    self.keys = keys.to_vec();
                }
                DtlsOutput::Connected => self.told.push("connected".to_owned()),
                DtlsOutput::ApplicationData(data) => self.data.extend_from_slice(data),
                DtlsOutput::CloseNotify => self.told.push("closed".to_owned()),
                DtlsOutput::Timeout(next) => {
                    self.next = next;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, datagram: &[u8]) -> bool {
        let taken = self.connection.handle_packet(datagram).is_ok();
        self.poll();
        taken
    }
}

/// Carries everything over, but the datagrams that `lost` wants by their number, until nothing is on the way.
fn carry(hub: &mut Hub, client: &mut Client, sent: &mut usize, lost: impl Fn(usize) -> bool) {
    client.turn(None);
    loop {
        let to_hub = client.leaving();
        let to_client: Vec<_> = hub.leaving.drain(..).collect();
        if to_hub.is_empty() && to_client.is_empty() {
            return;
        }
        let mut arrives = || {
            *sent += 1;
            !lost(*sent - 1)
        };
        for datagram in to_hub {
            if arrives() {
                assert!(hub.take(&datagram));
            }
        }
        for datagram in to_client {
            if arrives() {
                client.turn(Some(&datagram));
            }
        }
    }
}

/// A connection that is up.
fn connected() -> (Hub, Client) {
    let (mut hub, mut client) = (Hub::new(false, Instant::now()), Client::new(Kind::Rsa, true, super::SRTP_PROFILES));
    carry(&mut hub, &mut client, &mut 0, |_| false);
    assert!(client.done && hub.told.last().is_some_and(|told| told == "connected"));
    (hub, client)
}

#[test]
fn every_client_gets_the_same_keys_in_either_role() {
    for kind in [Kind::Rsa, Kind::Ec] {
        for active in [true, false] {
            for (profiles, agreed) in
                [(super::SRTP_PROFILES, "SRTP_AEAD_AES_256_GCM"), ("SRTP_AES128_CM_SHA1_80", "SRTP_AES128_CM_SHA1_80")]
            {
                let (mut hub, mut client) = (Hub::new(!active, Instant::now()), Client::new(kind, active, profiles));
                carry(&mut hub, &mut client, &mut 0, |_| false);
                assert!(client.done, "{kind:?} {active}");
                assert_eq!(hub.told, ["certificate", agreed, "connected"]);
                assert_eq!(hub.der, client.der);
                assert_eq!(hub.keys, client.keys(hub.keys.len()));
                assert_eq!(hub.connection.is_active(), !active);
                assert_eq!(hub.connection.send_application_data(b"from the hub").unwrap(), 12);
                hub.poll();
                client.stream.ssl_write(b"from the client").unwrap();
                carry(&mut hub, &mut client, &mut 0, |_| false);
                assert_eq!((&hub.data[..], &client.heard[..]), (&b"from the client"[..], &b"from the hub"[..]));
            }
        }
    }
}

#[test]
fn each_side_hears_of_the_end() {
    let (mut hub, mut client) = connected();
    client.stream.shutdown().unwrap();
    carry(&mut hub, &mut client, &mut 0, |_| false);
    assert_eq!(hub.told.last().unwrap(), "closed");
    assert!(hub.connection.is_closed());
    assert!(hub.connection.send_application_data(b"late").is_err());

    let (mut hub, mut client) = connected();
    hub.connection.close().unwrap();
    assert!(hub.connection.is_closing() && !hub.connection.is_closed(), "an alert is to leave");
    hub.poll();
    assert!(hub.connection.is_closed());
    carry(&mut hub, &mut client, &mut 0, |_| false);
    assert!(client.stream.get_shutdown().contains(openssl::ssl::ShutdownState::RECEIVED));
}

#[test]
fn nothing_is_sent_before_there_are_keys() {
    let mut hub = Hub::new(false, Instant::now());
    assert_eq!(hub.connection.send_application_data(b"early").unwrap(), 0);
    assert!(hub.connection.protocol_version().is_none());
}

#[test]
fn who_takes_no_srtp_or_shows_no_certificate_is_refused() {
    let (mut hub, mut client) = (Hub::new(false, Instant::now()), Client::new(Kind::Rsa, true, ""));
    let mut taken = true;
    for _ in 0..4 {
        client.turn(None);
        for datagram in client.leaving() {
            taken &= hub.take(&datagram);
        }
        for datagram in std::mem::take(&mut hub.leaving) {
            client.turn(Some(&datagram));
        }
    }
    assert!(!taken && hub.told.is_empty(), "{:?}", hub.told);
    assert!(hub.take(b"more"), "one error is enough");

    let mut hub = Hub::new(false, Instant::now());
    let mut anonymous = Client::new(Kind::Rsa, true, super::SRTP_PROFILES);
    let mut context = SslContextBuilder::new(SslMethod::dtls()).unwrap();
    context.set_tlsext_use_srtp(super::SRTP_PROFILES).unwrap();
    let mut ssl = Ssl::new(&context.build()).unwrap();
    ssl.set_mtu(1200).unwrap();
    anonymous.stream = SslStream::new(ssl, Datagrams::default()).unwrap();
    let mut taken = true;
    for _ in 0..4 {
        anonymous.turn(None);
        for datagram in anonymous.leaving() {
            taken &= hub.take(&datagram);
        }
        for datagram in std::mem::take(&mut hub.leaving) {
            anonymous.turn(Some(&datagram));
        }
    }
    assert!(!taken && hub.told.is_empty(), "{:?}", hub.told);
}

#[test]
fn lost_flights_are_repeated() {
    let now = Instant::now();
    let mut pairs: Vec<_> = (0..24)
        .map(|lost| {
            let active = lost % 2 == 0;
            let (mut hub, mut client) = (Hub::new(!active, now), Client::new(Kind::Rsa, active, super::SRTP_PROFILES));
            let mut sent = 0;
            carry(&mut hub, &mut client, &mut sent, |number| number == lost / 2);
            (lost / 2 < sent, hub, client)
        })
        .collect();
    let in_time = |hub: &Hub| hub.told.len() == 3;
    let late = pairs.iter().filter(|(_, hub, client)| !in_time(hub) || !client.done).count();
    assert!(late >= 8, "a datagram that is lost holds the handshake up: {late}");
    for round in 1..=3 {
        std::thread::sleep(REPEATED);
        for (_, hub, client) in &mut pairs {
            if !in_time(hub) {
                assert!(hub.next <= now + REPEATS * round, "it wants to be asked");
            }
            hub.connection.handle_timeout(now + REPEATED * round).unwrap();
            hub.poll();
            carry(hub, client, &mut 0, |_| false);
        }
    }
    for (number, (_, hub, client)) in pairs.iter().enumerate() {
        assert!(in_time(hub) && client.done, "{number}: {:?}", hub.told);
        assert_eq!(hub.keys, client.keys(hub.keys.len()));
    }
}

#[test]
fn a_handshake_that_stays_half_done_ends() {
    let now = Instant::now();
    let mut hub = Hub::new(false, now);
    hub.connection.handle_timeout(now + 2 * PATIENCE).unwrap();
    let mut client = Client::new(Kind::Ec, true, super::SRTP_PROFILES);
    client.turn(None);
    assert!(hub.take(&client.leaving()[0]), "who waits for a client waits");
    assert!(!hub.leaving.is_empty());
    hub.connection.handle_timeout(now + 3 * PATIENCE - REPEATS).unwrap();
    assert!(hub.connection.handle_timeout(now + 3 * PATIENCE).is_err());
    hub.poll();
    assert!(hub.next > now + 4 * PATIENCE, "it rests");
    assert!(hub.connection.handle_timeout(now + 4 * PATIENCE).is_ok());
    assert!(hub.connection.send_application_data(b"late").is_err());
}

#[test]
fn what_is_not_taken_does_not_pile_up() {
    let (mut hub, mut client) = connected();
    for _ in 0..2 * EVENTS {
        client.stream.ssl_write(b"data").unwrap();
        for datagram in client.leaving() {
            hub.connection.handle_packet(&datagram).unwrap();
        }
        hub.connection.send_application_data(b"data").unwrap();
    }
    assert_eq!(hub.connection.waiting(), EVENTS);
    hub.poll();
    assert_eq!(hub.leaving.len(), WAITING);
}

#[test]
fn a_buffer_that_is_too_small_loses_nothing() {
    let (mut hub, mut client) = connected();
    client.stream.ssl_write(b"twelve bytes").unwrap();
    for datagram in client.leaving() {
        hub.connection.handle_packet(&datagram).unwrap();
    }
    let mut small = [0; 11];
    assert!(matches!(hub.connection.poll_output(&mut small), DtlsOutput::BufferTooSmall { needed: 12 }));
    hub.poll();
    assert_eq!(hub.data, b"twelve bytes");
}

/// What may come in place of a datagram.
fn nonsense() -> impl Strategy<Value = Vec<u8>> {
    let record = (20u8..26, prop_oneof![Just([254, 253]), Just([254, 255]), any::<[u8; 2]>()], 0u8..3, any::<u16>());
    let made = (record, vec(any::<u8>(), 0..300)).prop_map(|((kind, version, epoch, number), body)| {
        let mut datagram = vec![kind, version[0], version[1], 0, epoch, 0, 0, 0, 0];
        datagram.extend_from_slice(&number.to_be_bytes());
        datagram.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        datagram.extend_from_slice(&body);
        datagram
    });
    prop_oneof![vec(any::<u8>(), 1..1500), made]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nonsense_in_a_handshake_is_an_error_at_most(
        active: bool,
        datagrams in vec((0usize..12, nonsense()), 1..8),
    ) {
        let now = Instant::now();
        let (mut hub, mut client) = (Hub::new(!active, now), Client::new(Kind::Ec, active, super::SRTP_PROFILES));
        for turn in 0..12 {
            client.turn(None);
            for datagram in client.leaving() {
                hub.take(&datagram);
            }
            for (_, datagram) in datagrams.iter().filter(|(at, _)| *at == turn) {
                hub.take(datagram);
            }
            for datagram in std::mem::take(&mut hub.leaving) {
                client.turn(Some(&datagram));
            }
            let _ = hub.connection.handle_timeout(now + REPEATS * u32::try_from(turn).unwrap());
        }
    }

    #[test]
    fn a_flight_that_was_torn_is_an_error_at_most(
        active: bool,
        torn in 0usize..12,
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        bits in 1u8..,
        cuts: bool,
    ) {
        let (mut hub, mut client) = (Hub::new(!active, Instant::now()), Client::new(Kind::Ec, active, super::SRTP_PROFILES));
        let mut number = 0;
        for _ in 0..6 {
            client.turn(None);
            for mut datagram in client.leaving() {
                if number == torn {
                    let at = at.index(datagram.len());
                    datagram[at] ^= bits;
                    if cuts {
                        datagram.truncate(cut.index(datagram.len()));
                    }
                }
                number += 1;
                hub.take(&datagram);
            }
            for datagram in std::mem::take(&mut hub.leaving) {
                client.turn(Some(&datagram));
            }
        }
        prop_assert!(hub.told.len() <= 3);
    }

    #[test]
    fn nonsense_does_not_end_a_connection_that_is_up(datagrams in vec(nonsense(), 1..16)) {
        let (mut hub, mut client) = connected();
        for datagram in &datagrams {
            prop_assert!(hub.take(datagram));
        }
        client.stream.ssl_write(b"still here").unwrap();
        carry(&mut hub, &mut client, &mut 0, |_| false);
        prop_assert_eq!(&hub.data[..], b"still here");
        prop_assert_eq!(hub.told.len(), 3);
    }
}

/// A client and the hub's peer for it over str0m.
struct Call {
    hub: Peer,
    client: Rtc,
    now: Instant,
}

impl Call {
    /// Negotiated, with the client's offer changed by `edit`.
    fn new(edit: impl Fn(String) -> String) -> Call {
        let now = Instant::now();
        let member = Member {
            room: 1,
            identity: "gst".into(),
            sid: "PA_gst".into(),
            may_send_data: true,
            any_certificate: true,
            last_sequence: LastSequence::default(),
        };
        let id = PeerId { participant: 1, side: Side::Publisher };
        let mut hub = Peer::new(id, member, [HUB].into_iter(), [].into_iter(), now);
        let mut client = Rtc::builder()
            .set_crypto_provider(super::provider().unwrap())
            .set_dtls_cert(certificate(Kind::Rsa))
            .build(now);
        client.add_local_candidate(Candidate::host(CLIENT, "udp").unwrap());
        let mut api = client.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let (offer, pending): (_, SdpPendingOffer) = api.apply().unwrap();
        let answer = hub.accept_offer(&edit(offer.to_sdp_string()), &[], now).unwrap();
        client.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
        Call { hub, client, now }
    }
}

#[test]
fn a_client_with_an_rsa_certificate_connects_over_str0m() {
    let mut call = Call::new(|offer| offer);
    assert_eq!(connect(&mut call.hub.rtc, &mut call.client, call.now), Ok(true));
}

#[test]
fn a_client_with_another_certificate_than_it_told_is_refused() {
    let mut call = Call::new(|offer| {
        let start = offer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let (before, after) = offer.split_at(start);
        let other = if after.starts_with("00") { "11" } else { "00" };
        format!("{before}{other}{}", &after[2..])
    });
    let error = connect(&mut call.hub.rtc, &mut call.client, call.now).unwrap_err();
    assert!(error.contains("remote fingerprint no match"), "{error}");
    assert!(!call.hub.rtc.is_alive());
}
