//! The service side of the process: readiness, watchdog, journal.
