//! Numbers of enumerations that this version does not know, from clients that are newer or hostile.
//!
//! Protobuf hands them on, the JSON of the protocol's types cannot name them: one such number in what is told about a participant would
//! keep everybody who reads JSON (a client, the RoomService's caller, a webhook) from its whole room. So they end here, as the value
//! that a client of this version reads them as.

use livekit_protocol as proto;
use proto::signal_request::Message as Request;

/// The request without numbers that nobody knows.
pub fn known(mut request: Request) -> Request {
    match &mut request {
        Request::AddTrack(add) => known_in_track(add),
        Request::UpdateAudioTrack(update) => keep::<proto::AudioTrackFeature>(&mut update.features),
        Request::Leave(leave) => or_default::<proto::DisconnectReason>(&mut leave.reason),
        Request::PublishDataTrackRequest(publish) => known_in_data_track(publish),
        _ => {}
    }
    request
}

/// The same for a track that is asked for before there is a connection.
pub fn known_in_track(add: &mut proto::AddTrackRequest) {
    or_default::<proto::TrackType>(&mut add.r#type);
    or_default::<proto::TrackSource>(&mut add.source);
    or_default::<proto::encryption::Type>(&mut add.encryption);
    or_default::<proto::BackupCodecPolicy>(&mut add.backup_codec_policy);
    keep::<proto::AudioTrackFeature>(&mut add.audio_features);
    keep::<proto::PacketTrailerFeature>(&mut add.packet_trailer_features);
    let layers = add.layers.iter_mut().chain(add.simulcast_codecs.iter_mut().flat_map(|codec| &mut codec.layers));
    layers.for_each(|layer| or_default::<proto::VideoQuality>(&mut layer.quality));
    for codec in &mut add.simulcast_codecs {
        or_default::<proto::video_layer::Mode>(&mut codec.video_layer_mode);
    }
}

fn known_in_data_track(publish: &mut proto::PublishDataTrackRequest) {
    use proto::data_track_frame_encoding::{Value as Frame, WellKnownFrameEncoding};
    use proto::data_track_schema_encoding::{Value as Schema, WellKnownSchemaEncoding};
    or_default::<proto::encryption::Type>(&mut publish.encryption);
    if let Some(Frame::WellKnown(number)) = publish.frame_encoding.as_mut().and_then(|e| e.value.as_mut()) {
        or_default::<WellKnownFrameEncoding>(number);
    }
    let schema = publish.schema.as_mut().and_then(|schema| schema.encoding.as_mut()?.value.as_mut());
    if let Some(Schema::WellKnown(number)) = schema {
        or_default::<WellKnownSchemaEncoding>(number);
    }
}

fn or_default<E: TryFrom<i32>>(number: &mut i32) {
    if E::try_from(*number).is_err() {
        *number = 0;
    }
}

fn keep<E: TryFrom<i32>>(numbers: &mut Vec<i32>) {
    numbers.retain(|number| E::try_from(*number).is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: i32 = 4_000;

    #[test]
    fn what_a_newer_client_says_can_be_told_in_json() {
        let layer = || proto::VideoLayer { quality: UNKNOWN, ..Default::default() };
        let codec = proto::SimulcastCodec { layers: vec![layer()], video_layer_mode: UNKNOWN, ..Default::default() };
        let add = proto::AddTrackRequest {
            r#type: UNKNOWN,
            source: UNKNOWN,
            encryption: UNKNOWN,
            backup_codec_policy: UNKNOWN,
            audio_features: vec![UNKNOWN, proto::AudioTrackFeature::TfStereo as i32],
            packet_trailer_features: vec![UNKNOWN],
            layers: vec![layer()],
            simulcast_codecs: vec![codec],
            ..Default::default()
        };
        let audio = proto::UpdateLocalAudioTrack { features: vec![UNKNOWN], ..Default::default() };
        let frames = proto::data_track_frame_encoding::Value::WellKnown(UNKNOWN);
        let schemas = proto::data_track_schema_encoding::Value::WellKnown(UNKNOWN);
        let data = proto::PublishDataTrackRequest {
            encryption: UNKNOWN,
            frame_encoding: Some(proto::DataTrackFrameEncoding { value: Some(frames) }),
            schema: Some(proto::DataTrackSchemaId {
                encoding: Some(proto::DataTrackSchemaEncoding { value: Some(schemas) }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let leave = proto::LeaveRequest { reason: UNKNOWN, ..Default::default() };
        let requests = [
            Request::AddTrack(add),
            Request::UpdateAudioTrack(audio),
            Request::PublishDataTrackRequest(data),
            Request::Leave(leave),
        ];
        for request in requests {
            let json = |message| serde_json::to_value(proto::SignalRequest { message: Some(message) });
            assert!(json(request.clone()).is_err(), "{request:?}");
            assert!(json(known(request.clone())).is_ok(), "{request:?}");
        }
    }

    #[test]
    fn what_is_known_stays() {
        let add = proto::AddTrackRequest {
            r#type: proto::TrackType::Video as i32,
            source: proto::TrackSource::ScreenShare as i32,
            audio_features: vec![proto::AudioTrackFeature::TfStereo as i32],
            ..Default::default()
        };
        assert_eq!(known(Request::AddTrack(add.clone())), Request::AddTrack(add));
    }
}
