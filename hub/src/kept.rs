//! Files of the hub's state.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Readable for nobody else.
pub const SECRET: u32 = 0o600;
/// Readable for everybody.
pub const PUBLIC: u32 = 0o644;

/// Writes a file, complete or not at all, with `mode` from its first moment on.
pub fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = file.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(&draft, file)
}
