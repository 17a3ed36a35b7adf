//! Many participants in one process, for measuring a room server under load.
//!
//! They speak LiveKit's signalling and real WebRTC (ICE, DTLS-SRTP, feedback, retransmission); only the pictures and the sound are
//! made up: packets of the right size at the right time, each with the time at which it was sent. So a receiver knows how long a
//! packet took and which ones never came. All of them share one thread and one clock.
//!
//! Prints `measuring` when everything flows and the time that counts begins, and one line of JSON when it is over. Then the participants
//! stay, so that the server's memory can be read, until standard input ends. With `--logins` they only log in, all at once.

mod connection;
mod encoding;
mod logins;
mod outgoing;
mod participant;
mod report;
mod stamp;
mod tally;

use std::io::Read as _;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use zego_protocol::token::{TokenRequest, generate_livekit};

use encoding::Shape;
use participant::{LoadError, News, Participant, Path, Plan, Shared};
use report::Report;

/// Participants that join at the same time.
const JOINING: usize = 4;
/// Everything must flow so long after the last one has joined.
const FLOWING: Duration = Duration::from_secs(30);
/// Each participant must be connected so long after it began to join.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long the tokens are good.
const TOKEN_S: u64 = 3_600;

/// Joins a room with many participants, sends and receives, and prints what arrived and how late.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server, ws://HOST:PORT.
    url: String,
    /// AppID, LiveKit's API key.
    #[arg(long)]
    app: String,
    /// Its secret.
    #[arg(long)]
    secret: String,
    /// The room.
    #[arg(long, default_value = "load")]
    room: String,
    /// Participants that only publish.
    #[arg(long, default_value_t = 0)]
    publishers: u16,
    /// Participants that only receive.
    #[arg(long, default_value_t = 0)]
    subscribers: u16,
    /// Participants that do both.
    #[arg(long, default_value_t = 0)]
    members: u16,
    /// Participants that log in all at once, two to a room, and neither send nor receive; nobody else is there then.
    #[arg(long, default_value_t = 0)]
    logins: u16,
    /// Measured so long.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Before that, everything flows so long.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Bit rate of a picture's best layer; 0 is no picture.
    #[arg(long, default_value_t = 1_500)]
    video_kbps: u32,
    /// Pictures per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// Bit rate of the sound; 0 is no sound.
    #[arg(long, default_value_t = 32)]
    audio_kbps: u32,
    /// Pictures in three layers.
    #[arg(long)]
    simulcast: bool,
    /// Peer connections: one each (/rtc/v1), or two (/rtc).
    #[arg(long, value_enum, default_value = "one")]
    path: Path,
    /// Address to send from.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
}

impl Arguments {
    fn people(&self) -> u16 {
        self.publishers + self.subscribers + self.members
    }

    /// The tracks of whoever publishes, the layers of each with the best one last.
    fn tracks(&self) -> Vec<Vec<Shape>> {
        let mut tracks = Vec::new();
        if self.audio_kbps > 0 {
            tracks.push(vec![Shape::sound(self.audio_kbps * 1_000)]);
        }
        let best = self.video_kbps * 1_000;
        let picture = |layer, share| Shape::picture(layer, self.fps.max(1), best / share);
        match (self.video_kbps, self.simulcast) {
            (0, _) => {}
            // About the shares of a browser's layers.
            (_, true) => tracks.push(vec![picture(1, 10), picture(2, 3), picture(3, 1)]),
            (_, false) => tracks.push(vec![picture(3, 1)]),
        }
        tracks
    }

    /// How many subscriptions there are when everybody receives everybody else's tracks.
    fn subscriptions(&self) -> usize {
        let tracks = self.tracks().len();
        let publishing = usize::from(self.publishers + self.members);
        tracks * (usize::from(self.subscribers) * publishing + usize::from(self.members) * publishing.saturating_sub(1))
    }

    fn room_of(&self, number: u16) -> String {
        match self.logins {
            0 => self.room.clone(),
            _ => format!("{}-{}", self.room, number / 2),
        }
    }

    fn plan(&self, number: u16) -> Result<Plan, RunError> {
        let identity = format!("load-{number}");
        let mut request = TokenRequest::new(&self.app, &self.secret, &identity);
        request.room_id = Some(self.room_of(number));
        request.ttl_s = TOKEN_S;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = generate_livekit(&request, now).map_err(|error| RunError::Token(error.to_string()))?;
        let publishes = number < self.publishers + self.members;
        let frame = Duration::from_secs(1) / self.fps.max(1);
        // Frames of the publishers are spread over the time of one, as those of people are.
        let share = f64::from(number) * GOLDEN % 1.0;
        Ok(Plan {
            number,
            identity,
            token,
            url: self.url.clone(),
            address: self.address,
            path: self.path,
            tracks: if publishes { self.tracks() } else { Vec::new() },
            subscribes: number >= self.publishers,
            phase: frame.mul_f64(share),
        })
    }
}

/// Multiples of it are spread evenly over every whole number, however many there are.
const GOLDEN: f64 = 0.618_033_988_75;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("nobody is to send, or nobody to receive: use --publishers and --subscribers, or --members 2 or more")]
    Nothing,
    #[error("no token: {0}")]
    Token(String),
    #[error(transparent)]
    Participant(#[from] LoadError),
    #[error("participant {0} was not connected within {CONNECTING:?}")]
    NotConnected(u16),
    #[error("only {0} of {1} were in within two minutes")]
    NotIn(usize, usize),
    #[error("only {0} of {1} subscriptions flow")]
    NotFlowing(usize, usize),
    #[error("a participant ended too soon")]
    Ended,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("load: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), RunError> {
    if arguments.logins > 0 {
        let plans = (0..arguments.logins).map(|number| arguments.plan(number));
        return logins::run(plans.collect::<Result<_, _>>()?).await;
    }
    let expected = arguments.subscriptions();
    if expected == 0 {
        return Err(RunError::Nothing);
    }
    let shared = Arc::new(Shared { epoch: Instant::now(), window: OnceLock::new(), flowing: AtomicUsize::new(0) });
    let (leave, left) = watch::channel(false);
    let (news, mut told) = mpsc::unbounded_channel();
    let mut people: JoinSet<Result<(), LoadError>> = JoinSet::new();
    let (mut begun, mut connected) = (0, 0);
    while connected < arguments.people() {
        while begun < arguments.people() && usize::from(begun - connected) < JOINING {
            let (plan, shared, news, left) = (arguments.plan(begun)?, Arc::clone(&shared), news.clone(), left.clone());
            people.spawn(async move { Participant::join(plan, shared, news).await?.live(left).await });
            begun += 1;
        }
        tokio::select! {
            Some(News::Connected) = told.recv() => connected += 1,
            Some(ended) = people.join_next() => return Err(early(ended)),
            () = tokio::time::sleep(CONNECTING) => return Err(RunError::NotConnected(connected)),
        }
    }
    let deadline = Instant::now() + FLOWING;
    while shared.flowing.load(Ordering::Relaxed) < expected {
        if Instant::now() > deadline {
            return Err(RunError::NotFlowing(shared.flowing.load(Ordering::Relaxed), expected));
        }
        wait(&mut people, Duration::from_millis(20)).await?;
    }
    wait(&mut people, Duration::from_secs_f64(arguments.warm_up)).await?;

    let begin = shared.epoch.elapsed();
    let end = begin + Duration::from_secs_f64(arguments.seconds);
    let cpu = processor_time();
    // Set once, here.
    let _ = shared.window.set(begin.as_nanos() as u64..end.as_nanos() as u64);
    println!("measuring");
    wait(&mut people, end - begin).await?;
    let cpu = (processor_time() - cpu).as_secs_f64() / arguments.seconds;
    let mut outcomes = Vec::new();
    while outcomes.len() < usize::from(arguments.people()) {
        tokio::select! {
            news = told.recv() => match news {
                Some(News::Measured(number, outcome)) => outcomes.push((number, *outcome)),
                Some(News::Connected) => {}
                None => return Err(RunError::Ended),
            },
            Some(ended) = people.join_next() => return Err(early(ended)),
        }
    }
    let report =
        Report { people: arguments.people(), subscriptions: expected, seconds: arguments.seconds, cpu, outcomes };
    println!("{}", report.json());
    stay(people, &leave).await
}

/// Lets everybody stay until standard input ends, and then leave.
async fn stay(mut people: JoinSet<Result<(), LoadError>>, leave: &watch::Sender<bool>) -> Result<(), RunError> {
    let (close, mut closed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        // Whatever comes there is not for us; its end or an error is.
        while std::io::stdin().read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
        // Nobody listens when the program has ended by an error.
        let _ = close.send(());
    });
    tokio::select! {
        _ = closed.recv() => {}
        Some(ended) = people.join_next() => return Err(early(ended)),
    }
    // All of them hear it, or have ended.
    let _ = leave.send(true);
    while let Some(ended) = people.join_next().await {
        ended.map_err(|_| RunError::Ended)??;
    }
    Ok(())
}

/// Lets time pass; whoever ends meanwhile ends the run.
async fn wait(people: &mut JoinSet<Result<(), LoadError>>, time: Duration) -> Result<(), RunError> {
    tokio::select! {
        Some(ended) = people.join_next() => Err(early(ended)),
        () = tokio::time::sleep(time) => Ok(()),
    }
}

fn early(ended: Result<Result<(), LoadError>, tokio::task::JoinError>) -> RunError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => RunError::Ended,
    }
}

/// What this process has used of processors.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Arguments {
        let always = ["load", "ws://127.0.0.1:1", "--app", "1", "--secret", "fa94dd0f974cf2e293728a526b028271"];
        Arguments::parse_from(always.iter().chain(words))
    }

    #[test]
    fn everybody_receives_everybody_elses_tracks() {
        let count = |words: &[&str]| arguments(words).subscriptions();
        assert_eq!(count(&["--publishers=1", "--subscribers=20"]), 40);
        assert_eq!(count(&["--members=4"]), 4 * 3 * 2);
        assert_eq!(count(&["--members=4", "--video-kbps=0"]), 4 * 3);
        assert_eq!(count(&["--publishers=2"]), 0);
    }

    #[test]
    fn each_one_does_what_it_is_for() {
        let arguments = arguments(&["--publishers=1", "--members=1", "--subscribers=1", "--simulcast"]);
        let does = |number| arguments.plan(number).map(|plan| (plan.tracks.len(), plan.subscribes)).expect("a plan");
        assert_eq!([does(0), does(1), does(2)], [(2, false), (2, true), (0, true)]);
        assert_eq!(arguments.tracks()[1].len(), 3);
    }

    #[test]
    fn those_who_only_log_in_are_two_to_a_room() {
        let arguments = arguments(&["--logins=3"]);
        assert!((0..3).all(|number| arguments.plan(number).is_ok_and(|plan| plan.tracks.is_empty())));
        assert_eq!((0..3).map(|number| arguments.room_of(number)).collect::<Vec<_>>(), ["load-0", "load-0", "load-1"]);
    }
}
