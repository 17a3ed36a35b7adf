//! `monitor`: every signal as it happens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use zbus::message::Type;
use zbus::{MatchRule, Message, MessageStream, Structure};
use zego_protocol::state::{
    StreamDeleteReason, ZegoDataRecordState, ZegoPlayerMediaEvent, ZegoPlayerState, ZegoPublisherState,
    ZegoRemoteDeviceState, ZegoRoomState, ZegoUpdateType,
};
use zego_protocol::{names, signal};

use super::ended;
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::value::{snake_case, to_json};

/// Prints every signal of the daemon until it is ended.
pub async fn monitor(daemon: &Daemon, output: Output) -> Result<(), Failure> {
    // Anybody on a bus may send signals with our path; only the name's owner is believed. The two streams keep the
    // order in which the bus sent things, so the owner is known before its first signal.
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(names::BUS_NAME).path_namespace(names::ROOT_PATH);
    let rule = rule.build()?;
    let mut signals = MessageStream::for_match_rule(rule, &daemon.connection, None).await?;
    let mut owners = daemon.engine.inner().receive_owner_changed().await?;
    daemon.engine.version().await?;
    let mut owner = zbus::fdo::DBusProxy::new(&daemon.connection)
        .await?
        .get_name_owner(names::BUS_NAME.try_into()?)
        .await?
        .to_string();
    output.remark("Every signal of zegod is printed; Ctrl-C ends it.");
    let mut end = std::pin::pin!(ended());
    loop {
        tokio::select! {
            biased;
            outcome = &mut end => return outcome,
            change = owners.next() => match change {
                Some(Some(new)) => owner = new.to_string(),
                Some(None) => output.remark("zegod has left the bus; its signals are printed again when it is back."),
                None => return Err(Failure::NoDaemon("the bus is gone".to_string())),
            },
            message = signals.next() => {
                let Some(message) = message else { return Err(Failure::NoDaemon("the bus is gone".to_string())) };
                let message = message?;
                if message.header().sender().is_some_and(|sender| sender.as_str() == owner)
                    && let Some(event) = Event::of(&message)
                {
                    print(&event, SystemTime::now(), output)?;
                }
            }
        }
    }
}

/// A signal with its arguments by name.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    /// In the order of the signal.
    arguments: Vec<(String, Value)>,
}

impl Event {
    fn of(message: &Message) -> Option<Event> {
        let header = message.header();
        let (name, path) = (header.member()?.to_string(), header.path()?.to_string());
        let body = message.body();
        let values: Vec<Value> = match body.deserialize::<Structure<'_>>() {
            Ok(structure) => structure.fields().iter().map(to_json).collect(),
            Err(_) => Vec::new(), // a signal without arguments
        };
        Some(Event::from_values(name, &path, values))
    }

    fn from_values(name: String, path: &str, values: Vec<Value>) -> Event {
        let known: &[&str] = match name.as_str() {
            "PropertiesChanged" => &["interface", "changed", "invalidated"],
            "InterfacesAdded" => &["object", "interfaces"],
            "InterfacesRemoved" => &["object", "interfaces"],
            engine => signal::lookup(engine).map_or(&[], |signal| signal.arguments),
        };
        let mut arguments = Vec::new();
        if path != names::ROOT_PATH {
            arguments.push(("path".to_string(), json!(path)));
        }
        for (number, value) in values.into_iter().enumerate() {
            let key = known.get(number).map_or_else(|| format!("arg{number}"), ToString::to_string);
            let value = if matches!(key.as_str(), "changed" | "interfaces") { snake_keys(value) } else { value };
            arguments.push((key, value));
        }
        Event { name, arguments }
    }

    fn json(&self, time: Duration) -> Value {
        let mut object = Map::new();
        object.insert("signal".to_string(), json!(self.name));
        object.insert("time_ms".to_string(), json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
        object.extend(self.arguments.clone());
        Value::Object(object)
    }

    fn line(&self, time: Duration) -> String {
        let seconds = time.as_secs() % 86_400;
        let clock =
            format!("{:02}:{:02}:{:02}.{:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60, time.subsec_millis());
        let mut line = format!("{clock} {}", self.name);
        for (key, value) in &self.arguments {
            let text = match value {
                Value::Object(map) if map.is_empty() => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let word = value.as_i64().and_then(|n| i32::try_from(n).ok()).and_then(|n| self.word(key, n));
            line += &match word {
                Some(word) => format!(" {key}={text}({word})"),
                None => format!(" {key}={text}"),
            };
        }
        line
    }

    /// The word of a number, for people.
    fn word(&self, key: &str, number: i32) -> Option<&'static str> {
        match (self.name.as_str(), key) {
            ("RoomStateUpdate", "state") => ZegoRoomState::from_number(number).ok().map(ZegoRoomState::word),
            ("PublisherStateUpdate", "state") => {
                ZegoPublisherState::from_number(number).ok().map(ZegoPublisherState::word)
            }
            ("PlayerStateUpdate", "state") => ZegoPlayerState::from_number(number).ok().map(ZegoPlayerState::word),
            ("RemoteDeviceStateUpdate", "state") => {
                ZegoRemoteDeviceState::from_number(number).ok().map(ZegoRemoteDeviceState::word)
            }
            ("PlayerMediaEvent", "event") => {
                ZegoPlayerMediaEvent::from_number(number).ok().map(ZegoPlayerMediaEvent::word)
            }
            ("RecordingStateUpdate", "state") => {
                ZegoDataRecordState::from_number(number).ok().map(ZegoDataRecordState::word)
            }
            (_, "update_type") => ZegoUpdateType::from_number(number).ok().map(ZegoUpdateType::word),
            (_, "delete_reason") => StreamDeleteReason::from_number(number).ok().map(StreamDeleteReason::word),
            (_, "error_code") => zego_protocol::error::lookup(number).map(|row| row.key),
            _ => None,
        }
    }
}

/// Property names as keys; interface names stay as they are.
fn snake_keys(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(
                    |(key, value)| if key.contains('.') { (key, snake_keys(value)) } else { (snake_case(&key), value) },
                )
                .collect(),
        ),
        other => other,
    }
}

fn print(event: &Event, now: SystemTime, output: Output) -> Result<(), Failure> {
    let time = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    output.answer(&event.json(time), || event.line(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(45_296_007);

    #[test]
    fn a_state_is_told_by_number_and_word() {
        let values = vec![json!("lobby"), json!(0), json!(1_002_050), json!({"reason": "kick_out"})];
        let event = Event::from_values("RoomStateUpdate".into(), "/org/zegod1", values);
        assert_eq!(
            event.line(TIME),
            "12:34:56.007Z RoomStateUpdate room_id=lobby state=0(disconnected) \
             error_code=1002050(kicked_by_same_user) extended_data={\"reason\":\"kick_out\"}"
        );
        assert_eq!(
            event.json(TIME),
            json!({
                "signal": "RoomStateUpdate", "time_ms": 45_296_007, "room_id": "lobby", "state": 0,
                "error_code": 1_002_050, "extended_data": {"reason": "kick_out"},
            })
        );
    }

    #[test]
    fn a_changed_property_keeps_its_object() {
        let values = vec![json!("org.zegod1.Stream"), json!({"HasVideo": true}), json!([])];
        let event = Event::from_values("PropertiesChanged".into(), "/org/zegod1/stream/2", values);
        assert_eq!(
            Value::Object(event.arguments.into_iter().collect()),
            json!({
                "path": "/org/zegod1/stream/2", "interface": "org.zegod1.Stream",
                "changed": {"has_video": true}, "invalidated": [],
            })
        );
    }

    #[test]
    fn a_signal_from_a_newer_daemon_is_shown_with_numbered_arguments() {
        let event = Event::from_values("Sneeze".into(), "/org/zegod1", vec![json!("a"), json!(2)]);
        assert_eq!(event.line(TIME), "12:34:56.007Z Sneeze arg0=a arg1=2");
    }

    #[test]
    fn a_message_is_read_from_the_wire() {
        let message = Message::signal("/org/zegod1", "org.zegod1.Engine", "PlayerVideoSizeChanged")
            .build(&("desk", 640_i32, 480_i32))
            .unwrap();
        let event = Event::of(&message).unwrap();
        assert_eq!(
            Value::Object(event.arguments.into_iter().collect()),
            json!({"stream_id": "desk", "width": 640, "height": 480})
        );
        let message = Message::signal("/org/zegod1", "org.zegod1.Engine", "NetworkModeChanged");
        let event = Event::of(&message.build(&("wifi",)).unwrap()).unwrap();
        assert_eq!(Value::Object(event.arguments.into_iter().collect()), json!({"mode": "wifi"}));
    }
}
