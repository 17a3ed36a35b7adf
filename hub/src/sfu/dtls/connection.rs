//! One DTLS connection (RFC 6347) that agrees on keys for media (RFC 5764).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{self, ErrorCode, SslStream};
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, KeyingMaterial, ProtocolVersion, SrtpProfile};

use super::datagrams::Datagrams;
use super::records::sealed;

/// A handshake that has begun and is not done after so long never will be.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// OpenSSL is asked this often whether it wants to repeat a flight: it decides by the machine's clock, after one second first and
/// doubling (RFC 6347 section 4.2.4), and there is no way to tell it the time.
pub const REPEATS: Duration = Duration::from_millis(250);
/// Nothing is to be done before: any time that is far.
const FAR: Duration = Duration::from_secs(3600);
/// Bytes of a record of data that are read at once: str0m takes as many.
const RECORD: usize = 2000;
/// Events that may wait; all are taken after each turn. More data is lost, as in any network.
pub const EVENTS: usize = 256;
/// Says what the exported keys are for (RFC 5764 section 4.2).
pub const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Client or server is not decided.
    Fresh,
    /// The handshake goes on, until the given time at most once the other side takes part.
    Handshake(Option<Instant>),
    /// Both sides have the keys.
    Established,
    /// Closed by one side.
    Closed,
    /// Nothing can be done with it any more.
    Failed,
}

/// What str0m is to know.
#[derive(Debug)]
enum Event {
    Certificate(Vec<u8>),
    Keys(KeyingMaterial, SrtpProfile),
    Connected,
    Data(Vec<u8>),
    Closed,
}

impl Event {
    /// Bytes that it needs in the buffer of whoever polls.
    fn len(&self) -> usize {
        match self {
            Event::Certificate(bytes) | Event::Data(bytes) => bytes.len(),
            Event::Keys(..) | Event::Connected | Event::Closed => 0,
        }
    }
}

/// Why a connection fails.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the handshake: {0}")]
    Handshake(ssl::Error),
    #[error("the handshake is not done after {} s", PATIENCE.as_secs())]
    Late,
    #[error("no certificate came")]
    NoCertificate,
    #[error("no SRTP profile was agreed on")]
    NoProfile,
    #[error("the keys: {0}")]
    Keys(#[from] ErrorStack),
    #[error("a record: {0}")]
    Record(ssl::Error),
}

/// A connection. Nothing that comes makes it more than an error, of which there is one: then it is over.
#[derive(Debug)]
pub struct Connection {
    stream: SslStream<Datagrams>,
    stage: Stage,
    /// It is the client.
    active: bool,
    events: VecDeque<Event>,
    now: Instant,
    /// When OpenSSL is asked next.
    repeats_at: Instant,
}

impl Connection {
    /// A connection over `stream`, which has not been used yet.
    pub fn new(stream: SslStream<Datagrams>, now: Instant) -> Connection {
        Connection { stream, stage: Stage::Fresh, active: false, events: VecDeque::new(), now, repeats_at: now }
    }

    /// Events that wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.events.len()
    }

    fn receive(&mut self, datagram: &[u8]) -> Result<(), Failure> {
        if let Stage::Handshake(until) = &mut self.stage {
            until.get_or_insert(self.now + PATIENCE);
            self.stream.get_mut().came(datagram);
            self.shake_hands()?;
            // More may have come behind the last message.
            return if self.stage == Stage::Established { self.read() } else { Ok(()) };
        }
        for record in sealed(datagram) {
            if self.stage == Stage::Established {
                self.stream.get_mut().came(record);
                self.read()?;
            }
        }
        Ok(())
    }

    fn shake_hands(&mut self) -> Result<(), Failure> {
        forget_errors();
        let done = if self.active { self.stream.connect() } else { self.stream.accept() };
        match done {
            Ok(()) => self.establish(),
            Err(error) if waits(&error) => Ok(()),
            Err(error) => Err(Failure::Handshake(error)),
        }
    }

    fn establish(&mut self) -> Result<(), Failure> {
        let ssl = self.stream.ssl();
        let certificate = ssl.peer_certificate().ok_or(Failure::NoCertificate)?.to_der()?;
        let profile = ssl.selected_srtp_profile().and_then(|agreed| profile(agreed.id())).ok_or(Failure::NoProfile)?;
        let mut keys = vec![0; profile.keying_material_len()];
        ssl.export_keying_material(&mut keys, LABEL, None)?;
        self.stage = Stage::Established;
        // The certificate comes first: nothing is used before it was compared.
        let keys = Event::Keys(KeyingMaterial::new(&keys), profile);
        self.events.extend([Event::Certificate(certificate), keys, Event::Connected]);
        Ok(())
    }

    /// Reads all data that came. Flights that the other side repeats are answered on the way.
    fn read(&mut self) -> Result<(), Failure> {
        let mut record = [0; RECORD];
        loop {
            forget_errors();
            match self.stream.ssl_read(&mut record) {
                Ok(length) if self.events.len() < EVENTS => {
                    self.events.push_back(Event::Data(record[..length].to_vec()));
                }
                Ok(_) => {}
                Err(error) if waits(&error) => return Ok(()),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.shut_down();
                    self.events.push_back(Event::Closed);
                    return Ok(());
                }
                Err(error) => return Err(Failure::Record(error)),
            }
        }
    }

    /// Says that nothing more comes (RFC 5246 section 7.2.1).
    fn shut_down(&mut self) {
        self.stage = Stage::Closed;
        forget_errors();
        // One alert that no one has to hear.
        let _ = self.stream.shutdown();
    }

    /// The outcome of a turn, as str0m knows it.
    fn conclude(&mut self, outcome: Result<(), Failure>) -> Result<(), DtlsImplError> {
        self.stream.get_mut().forget();
        outcome.map_err(|failure| {
            self.stage = Stage::Failed;
            log::info!("DTLS ends: {failure}");
            DtlsImplError::ConnectionClosed
        })
    }
}

impl DtlsInstance for Connection {
    fn set_active(&mut self, active: bool) {
        if self.stage == Stage::Fresh {
            (self.active, self.stage) = (active, Stage::Handshake(None));
        }
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        match self.stage {
            // str0m begins a client's handshake by an empty one; the timeout before it did that already.
            Stage::Handshake(_) | Stage::Established if !packet.is_empty() => {
                let outcome = self.receive(packet);
                self.conclude(outcome)
            }
            _ => Ok(()),
        }
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let datagrams = self.stream.get_mut();
        let needed = datagrams.next_len().or(self.events.front().map(Event::len)).unwrap_or_default();
        if needed > buffer.len() {
            return DtlsOutput::BufferTooSmall { needed };
        }
        if let Some(datagram) = datagrams.pop() {
            return DtlsOutput::Packet(fill(buffer, &datagram));
        }
        match self.events.pop_front() {
            Some(Event::Certificate(der)) => DtlsOutput::PeerCert(fill(buffer, &der)),
            Some(Event::Keys(keys, profile)) => DtlsOutput::KeyingMaterial(keys, profile),
            Some(Event::Connected) => DtlsOutput::Connected,
            Some(Event::Data(data)) => DtlsOutput::ApplicationData(fill(buffer, &data)),
            Some(Event::Closed) => DtlsOutput::CloseNotify,
            None => DtlsOutput::Timeout(match self.stage {
                Stage::Handshake(_) => self.repeats_at,
                _ => self.now + FAR,
            }),
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        let Stage::Handshake(until) = self.stage else { return Ok(()) };
        if now < self.repeats_at {
            return Ok(());
        }
        self.repeats_at = now + REPEATS;
        let late = until.is_some_and(|until| now >= until);
        let outcome = if late { Err(Failure::Late) } else { self.shake_hands() };
        self.conclude(outcome)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        match self.stage {
            Stage::Established => {
                forget_errors();
                let written = self.stream.ssl_write(data).map_err(Failure::Record);
                let length = *written.as_ref().unwrap_or(&0);
                self.conclude(written.map(drop)).map(|()| length)
            }
            Stage::Fresh | Stage::Handshake(_) => Ok(0),
            Stage::Closed | Stage::Failed => Err(DtlsImplError::ConnectionClosed),
        }
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        (self.stage == Stage::Established).then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closed | Stage::Failed)
    }

    fn is_closed(&self) -> bool {
        self.is_closing() && self.stream.get_ref().is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        match self.stage {
            Stage::Established => self.shut_down(),
            Stage::Fresh | Stage::Handshake(_) => self.stage = Stage::Closed,
            Stage::Closed | Stage::Failed => {}
        }
        Ok(())
    }
}

/// Writes `bytes` to the beginning of a buffer, which has room for them.
fn fill<'a>(buffer: &'a mut [u8], bytes: &[u8]) -> &'a [u8] {
    let place = &mut buffer[..bytes.len()];
    place.copy_from_slice(bytes);
    place
}

/// Whether OpenSSL has nothing to do until something comes.
fn waits(error: &ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

/// Empties the thread's queue of errors: what another connection left there would be taken for one of this.
fn forget_errors() {
    drop(ErrorStack::get());
}

/// An SRTP profile as str0m knows it.
fn profile(id: SrtpProfileId) -> Option<SrtpProfile> {
    match id {
        SrtpProfileId::SRTP_AEAD_AES_256_GCM => Some(SrtpProfile::AEAD_AES_256_GCM),
        SrtpProfileId::SRTP_AEAD_AES_128_GCM => Some(SrtpProfile::AEAD_AES_128_GCM),
        SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Some(SrtpProfile::AES128_CM_SHA1_80),
        _ => None,
    }
}
