//! The service side of the process: logs, readiness, watchdog, and the signals that end it.

mod memory;

use std::io::Write;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

pub use memory::{give_memory_back, share_heap};

/// Sends the logs to the journal under systemd, else to stderr, from `level` on.
///
/// Crates below tell much that concerns nobody but their authors; of them only errors are logged, with `debug` warnings
/// too, with `trace` everything.
pub fn start_logging(level: LevelFilter) {
    if systemd_journal_logger::connected_to_journal()
        && let Ok(journal) = systemd_journal_logger::JournalLog::new()
    {
        let logger =
            Filtered { below: limit_of_others(level), sink: journal.with_syslog_identifier("zegod".to_owned()) };
        install(logger, level);
    } else {
        install(Filtered { below: limit_of_others(level), sink: Stderr }, level);
    }
}

fn install(logger: impl Log + 'static, level: LevelFilter) {
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// What is logged of crates that are not ours.
const fn limit_of_others(level: LevelFilter) -> LevelFilter {
    match level {
        LevelFilter::Trace => LevelFilter::Trace,
        LevelFilter::Debug => LevelFilter::Warn,
        LevelFilter::Info | LevelFilter::Warn | LevelFilter::Error => LevelFilter::Error,
        LevelFilter::Off => LevelFilter::Off,
    }
}

/// A logger that takes little of crates that are not ours.
struct Filtered<L> {
    below: LevelFilter,
    sink: L,
}

impl<L: Log> Log for Filtered<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with("zego");
        is_ours || metadata.level() <= self.below
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.sink.log(record);
        }
    }

    fn flush(&self) {
        self.sink.flush();
    }
}

/// One line a record on stderr.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Nobody reads it any more: that is no reason to end a call.
        let _ = writeln!(std::io::stderr().lock(), "zegod: {}: {}", word(record.level()), record.args());
    }

    fn flush(&self) {}
}

const fn word(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warning",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    }
}

/// Tells the service manager, if there is one, that the daemon is ready.
pub fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving org.zegod1")]);
}

/// Tells the service manager, if there is one, that the daemon ends.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("the service manager cannot be told: {error}");
    }
}

/// Feeds the service manager's watchdog, if it wants to be fed: without one, nothing wakes up.
///
/// It runs on the runtime that serves the bus, so that a runtime that hangs is noticed.
pub fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval((limit / 2).max(Duration::from_millis(100)));
        loop {
            ticks.tick().await;
            notify(&[NotifyState::Watchdog]);
        }
    });
}

/// Waits until the process is asked to end (SIGTERM, SIGINT); says by which signal.
///
/// # Errors
/// The system does not let signals be caught.
pub async fn asked_to_end() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_logged_of_other_crates() {
        let logger = |level| Filtered { below: limit_of_others(level), sink: Stderr };
        let enabled = |logger: &Filtered<Stderr>, target, level| {
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        let info = logger(LevelFilter::Info);
        assert!(enabled(&info, "zegod::engine", log::Level::Info));
        assert!(!enabled(&info, "webrtc::ice", log::Level::Info));
        assert!(!enabled(&info, "webrtc::ice", log::Level::Warn));
        assert!(enabled(&info, "webrtc::ice", log::Level::Error));
        assert!(enabled(&logger(LevelFilter::Debug), "webrtc::ice", log::Level::Warn));
        assert!(enabled(&logger(LevelFilter::Trace), "webrtc::ice", log::Level::Trace));
    }
}
