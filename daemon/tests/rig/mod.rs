//! A real `zegod` on a private bus, and a client of it.

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "a test ends with its first failure")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Proxy, Variant};

/// The daemon's bus name.
pub const NAME: &str = "org.zegod1";
/// Its root object.
pub const ROOT: &str = "/org/zegod1";

/// A configuration with simulated devices only.
pub const SIMULATED: &str = "
[room]
retry_time_s = 60
[camera]
source = \"pattern\"
width = 320
height = 240
fps = 30
more = [\"pattern:2\"]
[microphone]
source = \"tone\"
[speaker]
sink = \"null\"
[network]
interfaces = [\"lo\"]
";

/// A process that ends with the test.
pub struct Process(pub Child);

impl Process {
    /// Sends a signal and waits; how it ended, and how long that took.
    pub fn end(&mut self, signal: &str) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let pid = self.0.id().to_string();
        Command::new("kill").args([format!("-{signal}"), pid]).status().unwrap();
        (self.0.wait().unwrap().code(), began.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bus of its own.
pub struct PrivateBus {
    pub folder: tempfile::TempDir,
    pub address: String,
    _daemon: Process,
}

impl PrivateBus {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = folder.path().join("bus.conf");
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig><type>session</type>\
             <listen>unix:path={}/bus</listen><policy context=\"default\"><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>",
            folder.path().display()
        );
        std::fs::write(&configuration, text).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--print-address=1"])
            .arg(format!("--config-file={}", configuration.display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon (package dbus) is needed");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { folder, address: address.trim().to_owned(), _daemon: Process(daemon) }
    }

    /// A file beside the bus.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A new connection.
    pub async fn connect(&self) -> Connection {
        zbus::connection::Builder::address(self.address.as_str()).build().await.unwrap()
    }
}

/// The command that starts the daemon.
pub fn zegod(configuration: &Path, bus: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zegod"));
    command.arg("--config").arg(configuration).args(["--bus", bus]);
    command
}

/// A running daemon and a client of it.
pub struct Device {
    pub process: Process,
    pub connection: Connection,
    pub log: PathBuf,
    signals: MessageStream,
}

/// Options of a call.
pub type Options = HashMap<&'static str, Variant<'static>>;

/// No options.
pub fn none() -> Options {
    Options::new()
}

impl Device {
    /// Starts the daemon and waits for its name.
    pub async fn start(bus: &PrivateBus, configuration: &str) -> Self {
        let file = bus.file("zegod.toml", configuration);
        let log = bus.folder.path().join("zegod.log");
        let out = std::fs::File::create(&log).unwrap();
        let process = Process(zegod(&file, &bus.address).stderr(out).spawn().unwrap());
        let connection = bus.connect().await;
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(NAME).build().unwrap();
        let signals =
            MessageStream::for_match_rule(rule, &connection, std::num::NonZeroUsize::new(4096)).await.unwrap();
        let dbus = zbus::fdo::DBusProxy::new(&connection).await.unwrap();
        let began = Instant::now();
        while !dbus.name_has_owner(NAME.try_into().unwrap()).await.unwrap() {
            assert!(began.elapsed() < Duration::from_secs(10), "zegod is not on the bus");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, connection, log, signals }
    }

    /// The root object.
    pub async fn engine(&self) -> Proxy<'static> {
        Proxy::new(&self.connection, NAME, ROOT, "org.zegod1.Engine").await.unwrap()
    }

    /// Calls a method of the engine.
    pub async fn call<A, R>(&self, method: &str, arguments: &A) -> Result<R, zbus::Error>
    where
        A: serde::Serialize + zbus::DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        self.engine().await.call(method, arguments).await
    }

    /// Calls a method that must be refused: the error's name, code and message.
    pub async fn refused<A>(&self, method: &str, arguments: &A) -> (String, i32, String)
    where
        A: serde::Serialize + zbus::DynamicType,
    {
        refusal(self.engine().await.call_method(method, arguments).await.map(drop))
    }

    /// A property of an object.
    pub async fn get(&self, path: &str, interface: &str, name: &str) -> OwnedVariant {
        let interface = format!("org.zegod1.{interface}");
        Proxy::new(&self.connection, NAME, path.to_owned(), interface).await.unwrap().get_property(name).await.unwrap()
    }

    /// A property that is a text.
    pub async fn text(&self, path: &str, interface: &str, name: &str) -> String {
        String::try_from(self.get(path, interface, name).await).unwrap()
    }

    /// The objects that have an interface.
    pub async fn objects(&self, interface: &str) -> Vec<OwnedObjectPath> {
        let manager = Proxy::new(&self.connection, NAME, ROOT, "org.freedesktop.DBus.ObjectManager").await.unwrap();
        type Managed = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>>;
        let managed: Managed = manager.call("GetManagedObjects", &()).await.unwrap();
        let wanted = format!("org.zegod1.{interface}");
        let mut found: Vec<_> =
            managed.into_iter().filter(|(_, all)| all.contains_key(&wanted)).map(|(path, _)| path).collect();
        found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        found
    }

    /// The signals that came until now.
    pub async fn signals(&mut self) -> Vec<zbus::Message> {
        let mut found = Vec::new();
        while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_millis(50), self.signals.next()).await {
            found.push(message);
        }
        found
    }

    /// Waits for a signal; others before it are left out.
    pub async fn wait(&mut self, member: &str) -> zbus::Message {
        let wait = async {
            loop {
                let message = self.signals.next().await.unwrap().unwrap();
                if message.header().member().is_some_and(|name| name.as_str() == member) {
                    return message;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("no signal {member}"))
    }

    /// How often its threads went to sleep of their own will.
    pub fn wakeups(&self) -> u64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.0.id())).unwrap();
        threads.map(|thread| number(&thread.unwrap().path().join("status"), "voluntary_ctxt_switches:")).sum()
    }

    /// Kilobytes that it holds.
    pub fn memory_kb(&self) -> u64 {
        number(Path::new(&format!("/proc/{}/status", self.process.0.id())), "VmRSS:")
    }
}

fn number(file: &Path, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The name, code and message of an error.
pub fn refusal(result: Result<(), zbus::Error>) -> (String, i32, String) {
    match result {
        Err(zbus::Error::MethodError(name, message, _)) => {
            let message = message.unwrap_or_default();
            let code = zego_protocol::error::code_of(&message).unwrap_or(0);
            (name.to_string(), code, message)
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// A member of a signal's name.
pub fn member(message: &zbus::Message) -> String {
    message.header().member().unwrap().to_string()
}
