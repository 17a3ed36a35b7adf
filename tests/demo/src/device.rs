//! One device: a bus of its own, `zegod` on it, and the D-Bus calls that a user interface would make.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::proxy::CacheProperties;
use zbus::{Connection, ObjectPath, OwnedObjectPath, Variant};
use zego_protocol::names;
use zego_protocol::proxy::{self, EngineProxy, Options, PlayerProxy, RoomProxy};

use crate::meter::{Meter, MeterError};
use crate::server::{ROOM, Server, ServerError, program};
use crate::stage::{Stage, StageError};

/// Size of the pictures.
const SIZE: (u32, u32) = (640, 480);

/// Why a device does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A program did not start.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// No token for it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Its view cannot be read.
    #[error(transparent)]
    Meter(#[from] MeterError),
    /// It refused a call, or its bus is gone.
    #[error("{device}: {what}: {error}")]
    Call {
        /// The device.
        device: String,
        /// What it should have done.
        what: &'static str,
        /// What it said.
        error: zbus::Error,
    },
}

/// Where a device's pictures and sound come from and go to, in the words of its configuration.
#[derive(Debug)]
pub struct Sources {
    /// `[camera] source`.
    pub camera: String,
    /// `[microphone] source`.
    pub microphone: String,
    /// `[speaker] sink`.
    pub speaker: String,
}

impl Sources {
    /// Test picture, test tone, silence.
    pub fn simulated() -> Self {
        Self { camera: "pattern".to_owned(), microphone: "tone".to_owned(), speaker: "null".to_owned() }
    }
}

/// A running device.
#[derive(Debug)]
pub struct Device {
    /// Its name, which is its user and its stream too.
    pub name: String,
    /// The address of its bus.
    pub bus: String,
    connection: Connection,
    engine: EngineProxy<'static>,
}

/// Starts a device and waits until it is on its bus.
pub async fn start(stage: &mut Stage, name: &str, server: &Server, sources: &Sources) -> Result<Device, DeviceError> {
    let bus = start_bus(stage, name).await?;
    let failed = |what| move |error| DeviceError::Call { device: name.to_owned(), what, error };
    let connection =
        zbus::connection::Builder::address(bus.as_str()).build().await.map_err(failed("cannot join its bus"))?;
    let file = stage.write(&format!("{name}.toml"), &configuration(server, sources))?;
    stage.start(name, &program("zegod"), &["--config", &file.to_string_lossy(), "--bus", &bus])?;
    let names = DBusProxy::new(&connection).await.map_err(failed("cannot ask its bus"))?;
    let service = BusName::try_from(names::BUS_NAME).map_err(failed("has no name"))?;
    stage.wait_until(name, async |_: &str| names.name_has_owner(service.clone()).await.unwrap_or(false)).await?;
    let engine = proxy::engine(&connection).await.map_err(failed("cannot be called"))?;
    Ok(Device { name: name.to_owned(), bus, connection, engine })
}

async fn start_bus(stage: &mut Stage, name: &str) -> Result<String, StageError> {
    let socket = stage.folder().join(format!("{name}.bus"));
    let file = stage.write(
        &format!("{name}-bus.conf"),
        &format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>\n",
            socket.display()
        ),
    )?;
    let bus = format!("{name}-bus");
    let config = format!("--config-file={}", file.display());
    stage.start(&bus, "dbus-daemon".as_ref(), &[&config, "--nofork", "--nopidfile"])?;
    stage.wait_until(&bus, async |_: &str| socket.exists()).await?;
    Ok(format!("unix:path={}", socket.display()))
}

fn configuration(server: &Server, sources: &Sources) -> String {
    let (width, height) = SIZE;
    let Sources { camera, microphone, speaker } = sources;
    // A server on loopback is reached through loopback only.
    let interfaces = if server.is_local() { "[\"lo\"]" } else { "[]" };
    format!(
        "[room]\nserver = \"{}\"\n\n[camera]\nsource = \"{camera}\"\nwidth = {width}\nheight = {height}\nfps = 30\n\n\
         [microphone]\nsource = \"{microphone}\"\n\n[speaker]\nsink = \"{speaker}\"\n\n\
         [video]\nbitrate_kbps = 1200\n\n\
         [network]\ninterfaces = {interfaces}\n",
        server.url()
    )
}

impl Device {
    fn failed(&self, what: &'static str) -> impl FnOnce(zbus::Error) -> DeviceError {
        let device = self.name.clone();
        move |error| DeviceError::Call { device, what, error }
    }

    /// Logs in to the room and publishes camera and microphone.
    pub async fn enter(self, server: &Server) -> Result<Participant, DeviceError> {
        let token = server.token(&self.name)?;
        let config = Options::from([("token", Variant::from(token)), ("is_user_status_notify", Variant::from(true))]);
        let (room, _) =
            self.engine.login_room(ROOM, &self.name, "", config).await.map_err(self.failed("cannot log in"))?;
        self.engine
            .start_publishing(&self.name, Options::new())
            .await
            .map_err(self.failed("cannot publish its camera and microphone"))?;
        Ok(Participant { device: self, room })
    }
}

/// A device in the room.
#[derive(Debug)]
pub struct Participant {
    /// The device.
    pub device: Device,
    room: OwnedObjectPath,
}

impl Participant {
    /// Plays a stream in a texture view that is watched.
    pub async fn play(&self, stream: &str) -> Result<(OwnedObjectPath, Arc<Meter>), DeviceError> {
        let Device { engine, .. } = &self.device;
        let failed = |what| self.device.failed(what);
        // YU12: no conversion of the picture, which is looked at and not drawn.
        let format = Options::from([("format", Variant::from("YU12"))]);
        let view =
            engine.create_texture_renderer(SIZE.0, SIZE.1, format).await.map_err(failed("cannot make a view"))?;
        let (memory, wakeup, _) = engine.open_texture(view).await.map_err(failed("cannot open its view"))?;
        let meter = Meter::start(memory.into(), wakeup.into())?;
        let canvas = Options::from([("view", Variant::from(view))]);
        let (player, _) = engine.start_playing(stream, canvas).await.map_err(failed("cannot play the other device"))?;
        Ok((player, meter))
    }

    /// Whether sound of a stream has arrived, from now on; asked for before it is played.
    pub async fn hears(&self, stream: &str) -> Result<Arc<AtomicBool>, DeviceError> {
        let news = self.device.engine.receive_player_first_frame().await;
        let mut news = news.map_err(self.device.failed("cannot be listened to"))?;
        let heard = Arc::new(AtomicBool::new(false));
        let (hearing, stream) = (Arc::clone(&heard), stream.to_owned());
        tokio::spawn(async move {
            while let Some(signal) = news.next().await {
                if signal.args().is_ok_and(|args| args.stream_id == stream && args.kind == "audio_received") {
                    hearing.store(true, Ordering::Relaxed);
                }
            }
        });
        Ok(heard)
    }

    /// How many people are in the room, itself included.
    pub async fn people(&self) -> Result<usize, DeviceError> {
        let failed = |what| self.device.failed(what);
        let room = RoomProxy::builder(&self.device.connection)
            .path(path(&self.room))
            .cache_properties(CacheProperties::No)
            .build()
            .await;
        let room = room.map_err(failed("cannot see its room"))?;
        Ok(room.users().await.map_err(failed("cannot see who is in the room"))?.len() + 1)
    }

    /// How many streams are in the room, its own included.
    pub async fn streams(&self) -> Result<usize, DeviceError> {
        let lists = self.device.engine.get_room_stream_list(ROOM, 1).await;
        let (own, others) = lists.map_err(self.device.failed("cannot list the streams"))?;
        Ok(own.len() + others.len())
    }

    /// The quality of what it plays: a dictionary of the numbers that could be measured.
    pub async fn quality(&self, player: &OwnedObjectPath) -> Result<proxy::Details, DeviceError> {
        let failed = |what| self.device.failed(what);
        let player = PlayerProxy::builder(&self.device.connection)
            .path(path(player))
            .cache_properties(CacheProperties::No)
            .build()
            .await;
        let player = player.map_err(failed("cannot see its player"))?;
        player.quality().await.map_err(failed("cannot measure what it plays"))
    }
}

fn path(path: &OwnedObjectPath) -> ObjectPath<'static> {
    path.clone().into_inner()
}
