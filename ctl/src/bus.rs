//! The way to the daemon, and a picture of its objects.

use std::time::Duration;

use serde_json::{Map, Value, json};
use zbus::Connection;
use zbus::connection::Builder;
use zego_protocol::names;
use zego_protocol::proxy::{self, EngineProxy};

use crate::arguments::BusChoice;
use crate::failure::Failure;
use crate::value;

/// No call of zegod takes longer than 15 s; starting it by activation may take some more.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// Connects to the bus.
///
/// # Errors
/// [`Failure::NoDaemon`] when it cannot be reached.
pub async fn connect(choice: &BusChoice) -> Result<Connection, Failure> {
    let builder = match choice {
        BusChoice::System => Builder::system(),
        BusChoice::Session => Builder::session(),
        BusChoice::Address(address) => Builder::address(address.as_str()),
    };
    match builder.method_timeout(CALL_TIMEOUT).build().await {
        Ok(connection) => Ok(connection),
        Err(error) => match Failure::from(error) {
            Failure::Refused { message, .. } => Err(Failure::NoDaemon(format!("the bus cannot be reached: {message}"))),
            failure => Err(failure),
        },
    }
}

/// The daemon at the other end of a connection.
#[derive(Debug)]
pub struct Daemon {
    /// The connection to the bus.
    pub connection: Connection,
    /// Its engine.
    pub engine: EngineProxy<'static>,
}

impl Daemon {
    /// Connects to the bus; whether the daemon is there turns out at the first call.
    ///
    /// # Errors
    /// [`Failure::NoDaemon`].
    pub async fn on(choice: &BusChoice) -> Result<Daemon, Failure> {
        let connection = connect(choice).await?;
        let engine = proxy::engine(&connection).await?;
        Ok(Daemon { connection, engine })
    }

    /// All objects as they are now.
    ///
    /// # Errors
    /// The call's.
    pub async fn objects(&self) -> Result<Objects, Failure> {
        let managed = proxy::objects(&self.connection).await?.get_managed_objects().await?;
        let mut objects = Vec::new();
        for (path, interfaces) in &managed {
            for (interface, properties) in interfaces {
                let Some(kind) = interface.as_str().strip_prefix("org.zegod1.") else { continue };
                let mut fields = value::properties(properties);
                fields.insert("path".to_string(), json!(path.as_str()));
                objects.push(Object { kind: kind.to_string(), path: path.to_string(), fields });
            }
        }
        Ok(Objects::new(objects))
    }

    /// The engine's own properties.
    ///
    /// # Errors
    /// The call's.
    pub async fn engine_properties(&self) -> Result<Map<String, Value>, Failure> {
        let properties = zbus::fdo::PropertiesProxy::builder(&self.connection)
            .destination(names::BUS_NAME)
            .path(names::ROOT_PATH)
            .build()
            .await?;
        let interface = names::ENGINE_INTERFACE.try_into()?;
        Ok(value::properties(&properties.get_all(interface).await?))
    }
}

/// One object of the daemon.
#[derive(Clone, Debug)]
pub struct Object {
    /// `Room`, `Stream`, `Publisher`, `Player`, `Device` or `View`.
    pub kind: String,
    /// Its path.
    pub path: String,
    /// Its properties in snake_case, and `path`. Where `room` is a path, `room_id` is its id.
    pub fields: Map<String, Value>,
}

impl Object {
    /// A property's text.
    pub fn text(&self, key: &str) -> String {
        value::text(&self.fields, key)
    }
}

/// All objects of the daemon, in the order of their paths' numbers.
#[derive(Clone, Debug)]
pub struct Objects {
    objects: Vec<Object>,
}

impl Objects {
    fn new(mut objects: Vec<Object>) -> Objects {
        let number = |path: &str| path.rsplit('/').next().and_then(|last| last.parse::<u64>().ok()).unwrap_or(0);
        objects.sort_by_key(|object| (object.kind.clone(), number(&object.path)));
        let rooms: Vec<(String, String)> = objects
            .iter()
            .filter(|object| object.kind == "Room")
            .map(|room| (room.path.clone(), room.text("room_id")))
            .collect();
        for object in &mut objects {
            let room = object.text("room");
            if let Some((_, id)) = rooms.iter().find(|(path, _)| *path == room) {
                object.fields.insert("room_id".to_string(), json!(id));
            }
        }
        Objects { objects }
    }

    /// The objects of a kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// The first object of a kind whose property has this text.
    pub fn find(&self, kind: &str, key: &str, text: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind == kind && object.text(key) == text)
    }

    /// The objects of a kind as a JSON list.
    pub fn list(&self, kind: &str) -> Value {
        self.of(kind).map(|object| Value::Object(object.fields.clone())).collect()
    }

    /// Refuses a room that is not logged in.
    ///
    /// # Errors
    /// 1002002.
    pub fn room(&self, id: &str) -> Result<&Object, Failure> {
        self.find("Room", "room_id", id)
            .ok_or_else(|| Failure::refused(1_002_002, &format!("Room '{id}' is not logged in")))
    }
}

/// The word of a room's state number.
pub fn room_word(state: i32) -> &'static str {
    zego_protocol::state::ZegoRoomState::from_number(state).map_or("unknown", |state| state.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, path: &str, fields: Value) -> Object {
        let Value::Object(fields) = fields else { panic!("an object is needed") };
        Object { kind: kind.to_string(), path: path.to_string(), fields }
    }

    #[test]
    fn objects_come_in_order_and_know_their_room_s_id() {
        let objects = Objects::new(vec![
            object("Stream", "/org/zegod1/stream/10", json!({"stream_id": "b", "room": "/org/zegod1/room/1"})),
            object("Stream", "/org/zegod1/stream/9", json!({"stream_id": "a", "room": "/org/zegod1/room/1"})),
            object("Room", "/org/zegod1/room/1", json!({"room_id": "lobby"})),
            object("Player", "/org/zegod1/player/1", json!({"stream_id": "w", "room": "/"})),
        ]);
        let streams: Vec<String> = objects.of("Stream").map(|stream| stream.text("stream_id")).collect();
        assert_eq!(streams, ["a", "b"]);
        assert_eq!(objects.find("Stream", "stream_id", "b").unwrap().text("room_id"), "lobby");
        assert_eq!(objects.find("Player", "stream_id", "w").unwrap().text("room_id"), "");
        assert!(objects.room("lobby").is_ok());
        assert_eq!(objects.room("attic").unwrap_err().code(), Some(1_002_002));
    }
}
