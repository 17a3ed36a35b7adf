//! `levels`: how loud the microphone and each played stream are.

use std::collections::HashMap;

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use zbus::message::Type;
use zbus::{MatchRule, Message, MessageStream, Structure, Variant};
use zego_protocol::names;

use super::ended;
use crate::arguments::Levels;
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::value::to_json;

/// Prints the levels until it is ended. The monitor ends with this program's connection.
pub async fn levels(daemon: &Daemon, options: &Levels, output: Output) -> Result<(), Failure> {
    let bus = zbus::fdo::DBusProxy::new(&daemon.connection).await?;
    let owner = bus.get_name_owner(names::BUS_NAME.try_into()?).await?;
    // One stream for all of them: the order tells which belong together. By the unique name: nobody else is believed.
    let rule = MatchRule::builder().msg_type(Type::Signal).sender(owner.as_str());
    let rule = rule.path(names::ROOT_PATH).interface(names::ENGINE_INTERFACE).build()?;
    let mut signals = MessageStream::for_match_rule(rule, &daemon.connection, None).await?;
    let mut owners = daemon.engine.inner().receive_owner_changed().await?;
    let wishes = HashMap::from([("interval_ms", Variant::new(options.interval)), ("vad", Variant::new(options.vad))]);
    daemon.engine.start_sound_level_monitor(wishes).await?;
    output.remark("Levels are from 0 (-60 dBFS or less) to 100 (0 dBFS); Ctrl-C ends.");
    let mut tick = Tick::new(options.vad);
    let mut end = std::pin::pin!(ended());
    loop {
        tokio::select! {
            biased;
            outcome = &mut end => return outcome,
            change = owners.next() => if change.flatten().is_none_or(|new| new.as_str() != owner.as_str()) {
                return Err(Failure::NoDaemon("zegod has left the bus".to_string()));
            },
            message = signals.next() => {
                let Some(message) = message else { return Err(Failure::NoDaemon("the bus is gone".to_string())) };
                if let Some((name, value)) = only_argument(&message?) && tick.take(&name, value) {
                    output.answer(&tick.json(), || tick.line())?;
                }
            }
        }
    }
}

/// A signal's name and its argument, when it has one.
fn only_argument(message: &Message) -> Option<(String, Value)> {
    let name = message.header().member()?.to_string();
    let body = message.body();
    let arguments = body.deserialize::<Structure<'_>>().ok()?;
    match arguments.fields() {
        [argument] => Some((name, to_json(argument))),
        _ => None,
    }
}

/// What is told at one moment: the captured level, the others', and with voice activity the same two again.
struct Tick {
    vad: bool,
    told: Map<String, Value>,
}

impl Tick {
    fn new(vad: bool) -> Tick {
        Tick { vad, told: Map::new() }
    }

    /// Takes a signal; true when it was the moment's last.
    fn take(&mut self, signal: &str, value: Value) -> bool {
        let (key, last) = match signal {
            "CapturedSoundLevelUpdate" => ("captured_level", false),
            "RemoteSoundLevelUpdate" => ("remote_levels", !self.vad),
            "CapturedVoiceActivityUpdate" => ("captured_voice", false),
            "RemoteVoiceActivityUpdate" => ("remote_voices", true),
            _ => return false,
        };
        self.told.insert(key.to_string(), value);
        last
    }

    fn json(&self) -> Value {
        json!(self.told)
    }

    fn line(&self) -> String {
        let nothing = Map::new();
        let streams = |key: &str| self.told.get(key).and_then(Value::as_object).unwrap_or(&nothing);
        let sound = |name: &str, level: Option<&Value>, voice: Option<&Value>| {
            let level = level.and_then(Value::as_f64).unwrap_or(0.0);
            let word = if voice.and_then(Value::as_bool) == Some(true) { " voice" } else { "" };
            format!("{name} {level:.0}{word}")
        };
        let own = sound("microphone", self.told.get("captured_level"), self.told.get("captured_voice"));
        let voices = streams("remote_voices");
        let others = streams("remote_levels").iter().map(|(id, level)| sound(id, Some(level), voices.get(id)));
        std::iter::once(own).chain(others).collect::<Vec<_>>().join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_complete_with_its_last_signal() {
        for (vad, line) in [(false, "microphone 40  desk 3"), (true, "microphone 40 voice  desk 3")] {
            let mut tick = Tick::new(vad);
            assert!(!tick.take("CapturedSoundLevelUpdate", json!(40.2)));
            assert_eq!(tick.take("RemoteSoundLevelUpdate", json!({"desk": 2.9})), !vad);
            assert!(!tick.take("RoomStateUpdate", json!("lobby")));
            if vad {
                assert!(!tick.take("CapturedVoiceActivityUpdate", json!(true)));
                assert!(tick.take("RemoteVoiceActivityUpdate", json!({"desk": false})));
            }
            assert_eq!(tick.line(), line);
            assert_eq!(tick.json()["remote_levels"]["desk"], json!(2.9));
        }
    }
}
