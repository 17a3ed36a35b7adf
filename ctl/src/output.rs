//! What a command prints: lines for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Standard output in the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON instead of lines.
    pub json: bool,
}

/// How many lines of a terminal the next answer takes the place of.
#[derive(Debug, Default)]
pub struct Shown(usize);

impl Shown {
    /// What a terminal has to be sent for `text` to take that place. Long lines are cut off: broken ones would be counted wrong.
    fn replaced_by(&mut self, text: &str) -> String {
        let back = if self.0 > 0 { format!("\u{1b}[{}A\u{1b}[J", self.0) } else { String::new() };
        self.0 = text.split('\n').count();
        format!("{back}\u{1b}[?7l{text}\u{1b}[?7h\n")
    }
}

impl Output {
    /// Prints one answer: the object with `--json`, else the lines.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] when standard output's reader is gone.
    pub fn answer(self, object: &Value, lines: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = if self.json { object.to_string() } else { plain_lines(&lines()) };
        let mut out = io::stdout().lock();
        if !text.is_empty() {
            writeln!(out, "{text}")?;
        }
        out.flush()?;
        Ok(())
    }

    /// Prints one of several answers: on a terminal in the place of the one before, else below it.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] when standard output's reader is gone.
    pub fn replace(self, shown: &mut Shown, object: &Value, lines: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json || !io::stdout().is_terminal() {
            return self.answer(object, lines);
        }
        self.raw(shown.replaced_by(&plain_lines(&lines())).as_bytes())
    }

    /// Prints text as it is, for other programs to read.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] when standard output's reader is gone.
    pub fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// A remark for the person who watches, on standard error; none with `--json`.
    pub fn remark(self, text: &str) {
        if !self.json {
            // Whoever closed standard error does not want it.
            let _ = writeln!(io::stderr(), "{}", plain(text));
        }
    }
}

/// One line without control characters: names and messages come from strangers, and a terminal obeys such characters.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn plain_lines(text: &str) -> String {
    text.trim_end_matches('\n').split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_the_place_of_the_one_before() {
        let mut shown = Shown::default();
        assert_eq!(shown.replaced_by("A\nB"), "\u{1b}[?7lA\nB\u{1b}[?7h\n");
        assert_eq!(shown.replaced_by("C"), "\u{1b}[2A\u{1b}[J\u{1b}[?7lC\u{1b}[?7h\n");
        assert_eq!(shown.replaced_by("D"), "\u{1b}[1A\u{1b}[J\u{1b}[?7lD\u{1b}[?7h\n");
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(plain("Eve\u{1b}[2J\u{7}"), "Eve\\u{1b}[2J\\u{7}");
        assert_eq!(plain_lines("Änne 🍐\nbob\r\n"), "Änne 🍐\nbob\\r");
    }
}
