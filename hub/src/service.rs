//! The program as a service: log, readiness, signals.

use log::{LevelFilter, Log, Metadata, Record};
use sd_notify::NotifyState;

/// Lines on stderr, for where there is no journal.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{:5} {}", record.level().as_str().to_lowercase(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Libraries report their own insides, which say nothing to a user.
fn is_ours(target: &str) -> bool {
    target.starts_with("zego")
}

/// Logs to the journal under systemd, to stderr elsewhere.
pub fn start_log(level: LevelFilter) {
    if is_journal() {
        let journal = systemd_journal_logger::JournalLog::new();
        if journal.is_ok_and(|journal| journal.install().is_ok()) {
            log::set_max_level(level);
            return;
        }
    }
    // Only fails when a logger was installed before.
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}

/// Whether stderr goes to the journal.
pub fn is_journal() -> bool {
    systemd_journal_logger::connected_to_journal()
}

/// Tells the service manager, if there is one, that connections are accepted.
pub fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager, if there is one, that the hub ends.
pub fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager cannot be told: {error}");
    }
}
