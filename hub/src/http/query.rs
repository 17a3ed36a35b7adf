//! What a client says about itself in the URL.

use std::collections::HashMap;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use livekit_protocol as proto;
use prost::Message as _;
use proto::wrapped_join_request::Compression;
use serde::Deserialize;

use crate::rooms::ZegoClient;

/// A join request may be this large, unpacked.
const JOIN_REQUEST_LIMIT: u64 = 1 << 20;

/// Longer numbers of logins are cut off.
const LOGIN_LIMIT: usize = 64;

/// base64url, with or without padding: SDKs differ.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Query parameters of `/rtc` and `/rtc/v1`. Unknown ones are ignored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Parameters {
    /// The token, where there is no header for it.
    pub access_token: String,
    /// ZEGO room id.
    pub zego_room: String,
    /// ZEGO user id.
    pub zego_user: String,
    /// ZEGO user name.
    pub zego_name: String,
    /// A ZEGO client's own number for its login.
    pub zego_login: String,
    /// `1`: it was in the room before, by this login, and comes back.
    pub zego_return: String,
    /// `0`: it neither sees nor is seen among the users.
    pub zego_notify: String,
    /// Most people in the room, if it is the first there.
    pub zego_limit: String,
    /// `1`: it is in the room and shows a new token.
    pub zego_renew: String,
    /// Everything else of `/rtc/v1`, packed.
    pub join_request: String,
    /// `/rtc`: `1` or `true`.
    pub auto_subscribe: String,
    /// `/rtc`: likewise, for data tracks.
    pub auto_subscribe_data_track: String,
    /// `/rtc`: protocol version.
    pub protocol: String,
    /// `/rtc`: see `ParticipantInfo.client_protocol`.
    pub client_protocol: String,
    /// `/rtc`: see `ParticipantInfo.capabilities`; names with commas between.
    pub capabilities: String,
    /// `/rtc`: attributes, base64url of a JSON object.
    pub attributes: String,
    /// `/rtc`: `1` or `true` when the client was here before.
    pub reconnect: String,
    /// `/rtc`: participant id of then.
    pub sid: String,
}

/// What is wrong with the parameters.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QueryError {
    /// `/rtc/v1` without its parameter.
    #[error("The parameter join_request is missing")]
    Missing,
    /// It cannot be unpacked.
    #[error("The parameter {0} cannot be read")]
    Unreadable(&'static str),
}

/// What both paths come down to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientWishes {
    /// Protocol version.
    pub protocol: i32,
    /// See `ParticipantInfo.client_protocol`.
    pub client_protocol: i32,
    /// See `ParticipantInfo.capabilities`.
    pub capabilities: Vec<i32>,
    /// Whether `stereo=1` in its offer has to tell that it sends two channels, because its client does not say so in AddTrack. The
    /// JavaScript SDK does, and writes `stereo=1` everywhere.
    pub stereo_by_offer: bool,
    /// Send every track.
    pub auto_subscribe: bool,
    /// Send every data track.
    pub auto_subscribe_data: bool,
    /// Metadata of the participant.
    pub metadata: String,
    /// Attributes of the participant.
    pub attributes: HashMap<String, String>,
    /// Resume under this participant id.
    pub resume: Option<String>,
    /// Tracks to publish at once.
    pub add_tracks: Vec<proto::AddTrackRequest>,
    /// First offer.
    pub offer: Option<proto::SessionDescription>,
    /// What a client that resumes remembers.
    pub sync_state: Option<proto::SyncState>,
}

impl Parameters {
    /// What a ZEGO client says about its login; nothing, for others.
    pub fn zego(&self) -> ZegoClient {
        ZegoClient {
            login: self.zego_login.chars().take(LOGIN_LIMIT).collect(),
            returns: self.zego_return == "1",
            quiet: self.zego_notify == "0",
            max_members: self.zego_limit.parse().unwrap_or(0),
        }
    }

    /// The wishes of a client of `/rtc`.
    pub fn two_connections(&self) -> Result<ClientWishes, QueryError> {
        let yes = |value: &str| value == "1" || value == "true";
        let attributes = match self.attributes.as_str() {
            "" => HashMap::new(),
            packed => {
                let bytes = BASE64URL.decode(packed).map_err(|_| QueryError::Unreadable("attributes"))?;
                serde_json::from_slice(&bytes).map_err(|_| QueryError::Unreadable("attributes"))?
            }
        };
        let capability = |name: &str| proto::client_info::Capability::from_str_name(name.trim()).map(|c| c as i32);
        Ok(ClientWishes {
            // Clients that do not say are the oldest.
            protocol: self.protocol.parse().unwrap_or(1),
            client_protocol: self.client_protocol.parse().unwrap_or(0),
            capabilities: self.capabilities.split(',').filter_map(capability).collect(),
            auto_subscribe: self.auto_subscribe.is_empty() || yes(&self.auto_subscribe),
            auto_subscribe_data: yes(&self.auto_subscribe_data_track),
            attributes,
            resume: yes(&self.reconnect).then(|| self.sid.clone()),
            ..Default::default()
        })
    }

    /// The wishes of a client of `/rtc/v1`.
    pub fn one_connection(&self) -> Result<ClientWishes, QueryError> {
        if self.join_request.is_empty() {
            return Err(QueryError::Missing);
        }
        let join = unpack(&self.join_request).ok_or(QueryError::Unreadable("join_request"))?;
        let client = join.client_info.unwrap_or_default();
        let settings = join.connection_settings.unwrap_or_default();
        Ok(ClientWishes {
            protocol: client.protocol,
            client_protocol: client.client_protocol,
            capabilities: client.capabilities,
            stereo_by_offer: client.sdk != proto::client_info::Sdk::Js as i32,
            auto_subscribe: settings.auto_subscribe,
            auto_subscribe_data: settings.auto_subscribe_data_track.unwrap_or_default(),
            metadata: join.metadata,
            attributes: join.participant_attributes,
            resume: join.reconnect.then_some(join.participant_sid),
            add_tracks: join.add_track_requests,
            offer: join.publisher_offer,
            sync_state: join.sync_state,
        })
    }
}

fn unpack(packed: &str) -> Option<proto::JoinRequest> {
    let bytes = BASE64URL.decode(packed).ok()?;
    let wrapped = proto::WrappedJoinRequest::decode(bytes.as_slice()).ok()?;
    let bytes = match Compression::try_from(wrapped.compression).ok()? {
        Compression::None => wrapped.join_request,
        Compression::Gzip => {
            let mut unpacked = Vec::new();
            let limited = flate2::read::GzDecoder::new(wrapped.join_request.as_slice());
            limited.take(JOIN_REQUEST_LIMIT + 1).read_to_end(&mut unpacked).ok()?;
            unpacked
        }
    };
    if bytes.len() as u64 > JOIN_REQUEST_LIMIT {
        return None;
    }
    proto::JoinRequest::decode(bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn pack(join: &proto::JoinRequest, gzip: bool) -> String {
        let plain = join.encode_to_vec();
        let (compression, join_request) = if gzip {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&plain).expect("written");
            (Compression::Gzip, encoder.finish().expect("packed"))
        } else {
            (Compression::None, plain)
        };
        let wrapped = proto::WrappedJoinRequest { compression: compression as i32, join_request };
        BASE64URL.encode(wrapped.encode_to_vec())
    }

    fn join() -> proto::JoinRequest {
        proto::JoinRequest {
            client_info: Some(proto::ClientInfo { protocol: 17, client_protocol: 2, ..Default::default() }),
            connection_settings: Some(proto::ConnectionSettings { auto_subscribe: true, ..Default::default() }),
            participant_attributes: [("a".to_owned(), "b".to_owned())].into(),
            reconnect: true,
            participant_sid: "PA_1".into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_join_request_is_read_packed_or_not_padded_or_not() {
        for gzip in [false, true] {
            let packed = pack(&join(), gzip);
            for text in [packed.clone(), packed.trim_end_matches('=').to_owned()] {
                let wishes = Parameters { join_request: text, ..Default::default() }.one_connection().expect("good");
                assert_eq!((wishes.protocol, wishes.client_protocol, wishes.auto_subscribe), (17, 2, true));
                assert_eq!(wishes.resume.as_deref(), Some("PA_1"));
            }
        }
    }

    #[test]
    fn the_offer_of_a_javascript_client_does_not_tell_what_it_sends() {
        use proto::client_info::Sdk;
        for (sdk, by_offer) in [(Sdk::Js, false), (Sdk::Python, true), (Sdk::Rust, true)] {
            let client_info = Some(proto::ClientInfo { sdk: sdk as i32, ..Default::default() });
            let join_request = pack(&proto::JoinRequest { client_info, ..join() }, false);
            let wishes = Parameters { join_request, ..Default::default() }.one_connection().expect("good");
            assert_eq!(wishes.stereo_by_offer, by_offer, "{sdk:?}");
        }
    }

    #[test]
    fn data_tracks_are_sent_to_those_who_say_so() {
        for (said, expected) in [(None, false), (Some(false), false), (Some(true), true)] {
            let settings = proto::ConnectionSettings { auto_subscribe_data_track: said, ..Default::default() };
            let join_request = pack(&proto::JoinRequest { connection_settings: Some(settings), ..join() }, false);
            let wishes = Parameters { join_request, ..Default::default() }.one_connection().expect("good");
            assert_eq!(wishes.auto_subscribe_data, expected, "{said:?}");
        }
        for (said, expected) in [("", false), ("0", false), ("true", true), ("1", true)] {
            let parameters = Parameters { auto_subscribe_data_track: said.into(), ..Default::default() };
            assert_eq!(parameters.two_connections().expect("good").auto_subscribe_data, expected, "{said}");
        }
    }

    #[test]
    fn what_is_no_join_request_is_an_error() {
        let read = |text: &str| Parameters { join_request: text.into(), ..Default::default() }.one_connection();
        assert_eq!(read(""), Err(QueryError::Missing));
        assert_eq!(read("!!"), Err(QueryError::Unreadable("join_request")));
        assert_eq!(read("AAAA"), Err(QueryError::Unreadable("join_request")));
    }

    #[test]
    fn a_small_request_that_unpacks_to_a_huge_one_is_refused() {
        let huge = proto::JoinRequest { metadata: "x".repeat(2 << 20), ..Default::default() };
        let packed = pack(&huge, true);
        assert!(packed.len() < 100_000);
        let read = Parameters { join_request: packed, ..Default::default() }.one_connection();
        assert_eq!(read, Err(QueryError::Unreadable("join_request")));
    }

    #[test]
    fn the_older_path_says_it_in_single_parameters() {
        let parameters = Parameters {
            protocol: "9".into(),
            auto_subscribe: "0".into(),
            attributes: BASE64URL.encode("{\"k\":\"v\"}"),
            reconnect: "true".into(),
            ..Default::default()
        };
        let wishes = parameters.two_connections().expect("good");
        assert_eq!((wishes.protocol, wishes.auto_subscribe), (9, false));
        assert_eq!(wishes.attributes.get("k").map(String::as_str), Some("v"));
        assert_eq!(wishes.resume.as_deref(), Some(""));
    }
}
