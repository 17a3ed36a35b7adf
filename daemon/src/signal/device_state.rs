//! What the others see of a publisher's camera and microphone.
//!
//! Whatever keeps a device from sending mutes its track, which every LiveKit program understands. Why, a participant attribute says
//! beside it: `zego.camera.STREAM` or `zego.microphone.STREAM` with the number of [`ZegoRemoteDeviceState`]. It is set before the
//! track is muted and taken away after it is not any more, so that nobody sees the one without the other.

use std::collections::HashMap;

use zego_protocol::state::ZegoRemoteDeviceState;

use crate::rtc::MediaKind;

/// The participant attribute with the reason why the track of a stream is muted.
pub(super) fn attribute(kind: MediaKind, stream_id: &str) -> String {
    match kind {
        MediaKind::Audio => format!("zego.microphone.{stream_id}"),
        MediaKind::Video => format!("zego.camera.{stream_id}"),
    }
}

/// The attribute's text; empty, which is no attribute, where the mute alone says it.
pub(super) fn text(kind: MediaKind, state: ZegoRemoteDeviceState) -> String {
    if state == ZegoRemoteDeviceState::Open || state == usual(kind) {
        String::new()
    } else {
        state.number().to_string()
    }
}

/// Why the track of a stream is muted, as far as its publisher says.
pub(super) fn reason(
    attributes: &HashMap<String, String>,
    kind: MediaKind,
    stream_id: &str,
) -> Option<ZegoRemoteDeviceState> {
    let number = attributes.get(&attribute(kind, stream_id))?.parse().ok()?;
    ZegoRemoteDeviceState::from_number(number).ok().filter(|state| *state != ZegoRemoteDeviceState::Open)
}

/// The state of a device whose track is muted or not, for a reason or without.
#[must_use]
pub fn seen(kind: MediaKind, muted: bool, reason: Option<ZegoRemoteDeviceState>) -> ZegoRemoteDeviceState {
    if muted { reason.unwrap_or(usual(kind)) } else { ZegoRemoteDeviceState::Open }
}

/// What a mute without a reason means: programs that mute their picture switch the camera off.
const fn usual(kind: MediaKind) -> ZegoRemoteDeviceState {
    match kind {
        MediaKind::Audio => ZegoRemoteDeviceState::Mute,
        MediaKind::Video => ZegoRemoteDeviceState::Disable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_arrives_as_it_was_told() {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            for &state in ZegoRemoteDeviceState::ALL {
                let text = text(kind, state);
                let mut attributes = HashMap::new();
                if !text.is_empty() {
                    attributes.insert(attribute(kind, "door"), text);
                }
                let muted = state != ZegoRemoteDeviceState::Open;
                assert_eq!(seen(kind, muted, reason(&attributes, kind, "door")), state, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_mute_alone_has_its_usual_reason_and_nonsense_is_none() {
        for text in ["", "0", "99", "off", "6.0"] {
            let attributes = HashMap::from([("zego.camera.door".to_owned(), text.to_owned())]);
            let why = reason(&attributes, MediaKind::Video, "door");
            assert_eq!(seen(MediaKind::Video, true, why), ZegoRemoteDeviceState::Disable, "{text:?}");
        }
        assert_eq!(seen(MediaKind::Audio, true, None), ZegoRemoteDeviceState::Mute);
        // A reason that is still there does not outlive the mute.
        assert_eq!(seen(MediaKind::Audio, false, Some(ZegoRemoteDeviceState::Unplugged)), ZegoRemoteDeviceState::Open);
    }
}
