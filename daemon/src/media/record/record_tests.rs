use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};

use super::boxes::list;
use super::*;

/// Half a minute: far more than anything here takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(30);

type Ended = Receiver<Result<(), RecordError>>;

fn start(descriptor: OwnedFd) -> (Recording, RecordSink, Ended) {
    let (sender, ended) = channel();
    let (recording, sink) = Recording::start(descriptor, move |result| sender.send(result).unwrap()).unwrap();
    (recording, sink, ended)
}

fn at(millis: u64) -> Monotonic {
    Monotonic::from_millis(1_000_000 + millis)
}

fn sound(sink: &RecordSink, packets: std::ops::Range<u64>, bytes: usize) {
    packets.for_each(|n| sink.audio(at(n * 20), &vec![7; bytes], 960));
}

#[test]
fn a_movie_grows_while_it_is_recorded_and_ends_with_its_last_sink() {
    let mut file = tempfile::tempfile().unwrap();
    let (recording, sink, ended) = start(file.try_clone().unwrap().into());
    sink.begin(false, Some(1));
    sound(&sink, 0..100, 40);
    drop(sink);
    ended.recv_timeout(LONG).unwrap().unwrap();
    let progress = recording.progress();
    assert_eq!(progress.duration, Duration::from_secs(2));
    let mut movie = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut movie).unwrap();
    assert_eq!(progress.size, movie.len() as u64);
    let names: Vec<_> = list(&movie).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..2], [*b"ftyp", *b"moov"]);
    let (index, fragments) = names[2..].split_last().unwrap();
    assert_eq!(index, b"mfra");
    assert!(fragments.len() >= 8 && fragments.chunks(2).all(|pair| *pair == [*b"moof", *b"mdat"]), "{names:?}");
}

#[test]
fn finishing_does_not_wait_for_the_sinks() {
    let (recording, sink, ended) = start(tempfile::tempfile().unwrap().into());
    sink.begin(false, Some(1));
    sound(&sink, 0..10, 40);
    recording.finish();
    ended.recv_timeout(LONG).unwrap().unwrap();
    assert!(!sink.is_open());
    assert_eq!(recording.progress().duration, Duration::from_millis(200));
}

#[test]
fn one_that_never_began_writes_nothing() {
    let file = tempfile::tempfile().unwrap();
    let (_recording, sink, ended) = start(file.try_clone().unwrap().into());
    drop(sink);
    ended.recv_timeout(LONG).unwrap().unwrap();
    assert_eq!(file.metadata().unwrap().len(), 0);
}

#[test]
fn a_reader_that_goes_away_ends_it_and_the_sinks_know() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (_recording, sink, ended) = start(writer);
    sink.begin(false, Some(1));
    drop(reader);
    sound(&sink, 0..100, 40);
    let error = ended.recv_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(error.code(), 1_010_014, "{error}");
    assert!(!sink.is_open());
}

#[test]
fn a_reader_that_does_not_read_ends_it_and_holds_nobody_up() {
    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    let (_recording, sink, ended) = start(writer);
    sink.begin(false, Some(1));
    let before = Monotonic::now();
    // Twelve megabytes: more than may wait.
    sound(&sink, 0..200, 60_000);
    assert!(Monotonic::now().since(before) < Duration::from_secs(5));
    let error = ended.recv_timeout(LONG).unwrap().unwrap_err();
    assert!(matches!(error, RecordError::Slow), "{error}");
    assert!(!sink.is_open());
}

#[test]
fn a_full_disk_has_its_code() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_recording, sink, ended) = start(full.into());
    sink.begin(false, Some(1));
    sound(&sink, 0..100, 40);
    assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().code(), 1_010_017);
}
