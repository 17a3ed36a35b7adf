//! What the demo started: programs and a folder of temporary files. Ended in reverse order, and nothing is left.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a program may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(10);

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No temporary folder.
    #[error("cannot make a temporary folder: {0}")]
    Folder(io::Error),
    /// A file of its own could not be written.
    #[error("cannot write {path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It could not be started.
    #[error("cannot start {program}: {error}; run `make build` first", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It ended, or never got ready.
    #[error("{name} {what}. The end of its log:\n{log}")]
    Ended {
        /// Its name on the stage.
        name: String,
        /// What happened.
        what: String,
        /// The last lines that it wrote.
        log: String,
    },
}

/// A program that runs.
#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The programs and files of the demo.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
    programs: Vec<Running>,
}

impl Stage {
    /// An empty stage.
    pub fn new() -> Result<Self, StageError> {
        // Short, because the path of a Unix socket may not be longer than 107 bytes.
        let folder = tempfile::Builder::new().prefix("zego-demo-").tempdir_in("/tmp").map_err(StageError::Folder)?;
        Ok(Self { folder, programs: Vec::new() })
    }

    /// The folder of temporary files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, StageError> {
        let path = self.folder().join(name);
        std::fs::write(&path, text).map_err(|error| StageError::File { path: path.clone(), error })?;
        Ok(path)
    }

    /// Starts a program; its output goes to a log in the folder.
    pub fn start(&mut self, name: &str, program: &Path, arguments: &[&str]) -> Result<(), StageError> {
        let log = self.folder().join(format!("{name}.log"));
        let file = |path: &Path| File::create(path).map_err(|error| StageError::File { path: path.to_owned(), error });
        let output = file(&log)?;
        let errors = output.try_clone().map_err(|error| StageError::File { path: log.clone(), error })?;
        // The kernel ends it should the demo itself be killed; and Ctrl-C, which a terminal sends to everybody in the
        // foreground, is for the demo alone.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .env("ZEGOHUB_STATE_DIRECTORY", self.folder())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| StageError::Start { program: program.to_owned(), error })?;
        self.programs.push(Running { name: name.to_owned(), child, log });
        Ok(())
    }

    /// Waits until `ready` holds; fails when a program ends before that.
    pub async fn wait_until(&mut self, name: &str, ready: impl AsyncFn(&str) -> bool) -> Result<(), StageError> {
        for _ in 0..1000 {
            self.check()?;
            let log = self.log(name);
            if ready(&log).await {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(self.ended(name, "does not get ready".to_owned()))
    }

    /// Fails when a program has ended.
    pub fn check(&mut self) -> Result<(), StageError> {
        let ended = self.programs.iter_mut().find_map(|program| match program.child.try_wait() {
            Ok(Some(status)) => Some((program.name.clone(), format!("ended ({status})"))),
            Err(error) => Some((program.name.clone(), format!("cannot be watched: {error}"))),
            Ok(None) => None,
        });
        ended.map_or(Ok(()), |(name, what)| Err(self.ended(&name, what)))
    }

    fn ended(&self, name: &str, what: String) -> StageError {
        let log = self.log(name);
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(12)..].join("\n");
        StageError::Ended { name: name.to_owned(), what, log }
    }

    fn log(&self, name: &str) -> String {
        let path = self.programs.iter().find(|program| program.name == name).map(|program| &program.log);
        let bytes = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends every program and removes the folder.
    pub async fn clear(mut self) {
        while let Some(mut program) = self.programs.pop() {
            let pid = i32::try_from(program.child.id()).ok().and_then(Pid::from_raw);
            if let (Ok(None), Some(pid)) = (program.child.try_wait(), pid) {
                // It is our child and was not waited for: the pid is still its.
                let _ = kill_process(pid, Signal::TERM);
            }
            let mut left = PATIENCE;
            while matches!(program.child.try_wait(), Ok(None)) {
                if left.is_zero() {
                    eprintln!("{} does not end by itself: it is killed", program.name);
                    let _ = program.child.kill();
                    let _ = program.child.wait();
                }
                tokio::time::sleep(LOOK).await;
                left = left.saturating_sub(LOOK);
            }
        }
        if let Err(error) = self.folder.close() {
            eprintln!("The temporary folder stays: {error}");
        }
    }
}
