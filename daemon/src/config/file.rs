//! One file of the configuration: what is wrong with it, and where.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Config;

/// Why the configuration cannot be used. Each is one line that says where and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with a mistake.
    #[error("{}:{line}: {text}", path.display())]
    Mistake {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key and what is wrong with it.
        text: String,
    },
    /// Files that are right alone but not together.
    #[error("the configuration files contradict each other: {0}")]
    Merged(String),
}

/// Reads and checks one file on its own.
pub(super) fn parse(path: &Path, text: &str) -> Result<toml::Table, ConfigError> {
    let mistake = |line, text| ConfigError::Mistake { path: path.to_owned(), line, text };
    let syntax = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
        // Not what follows the `=`: it may be a credential.
        let key = text.lines().nth(line - 1).and_then(|line| line.split('=').next()).unwrap_or("").trim();
        mistake(line, format!("{message} at `{key}`"))
    };
    let tree = DeTable::parse(text).map_err(syntax)?;
    let config = toml::from_str::<Config>(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let key = key_at(tree.get_ref(), &span).map(|key| format!("{key}: ")).unwrap_or_default();
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
        mistake(line_of(text, span.start), format!("{key}{}", with_suggestion(&message)))
    })?;
    if let Some((section, key, complaint)) = config.faults().into_iter().next() {
        let line = span_of(tree.get_ref(), section, key).map_or(1, |span| line_of(text, span.start));
        return Err(mistake(line, format!("[{section}] {key}: {complaint}")));
    }
    toml::from_str::<toml::Table>(text).map_err(syntax)
}

/// Lays `over` on top of `base`, table by table.
pub(super) fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The line, counted from 1, that byte `offset` is in.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// `[section] key` of the value that `span` lies in; nothing when the span is a key itself.
fn key_at(tree: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    for (section, value) in tree {
        let DeValue::Table(table) = value.get_ref() else { continue };
        for (key, value) in table {
            let place = value.span();
            if place.start <= span.start && span.end <= place.end {
                return Some(format!("[{}] {}", section.get_ref(), key.get_ref()));
            }
            let place = key.span();
            if place.start <= span.start && span.end <= place.end {
                return Some(format!("[{}]", section.get_ref()));
            }
        }
    }
    None
}

/// Where the value of `[section] key` is.
fn span_of(tree: &DeTable<'_>, section: &str, key: &str) -> Option<Range<usize>> {
    let value = tree.iter().find(|(name, _)| name.get_ref() == section)?.1;
    let DeValue::Table(table) = value.get_ref() else { return None };
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.span())
}

/// Adds "did you mean" to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let Some(unknown) = names.next().filter(|_| is_unknown) else { return message.to_owned() };
    let nearest = names.map(|name| (distance(unknown, name), name)).min();
    match nearest {
        Some((steps, name)) if steps <= unknown.len().max(3) / 3 + 1 => format!("{message}; did you mean `{name}`?"),
        _ => message.to_owned(),
    }
}

/// How many letters have to be put in, taken out or exchanged to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A right file with anything inserted anywhere, and plain noise: read, or refused with a line that exists.
        #[test]
        fn no_file_makes_it_panic(at in any::<prop::sample::Index>(), inserted in "[\\PC\n\t\"\\[\\]=]{0,30}", cut: bool) {
            let right = "[camera]\nsource = \"pattern\"\nwidth = 640\n\n[video]\nbitrate_kbps = 600\n";
            let (head, tail) = right.split_at(at.index(right.len()));
            for text in [format!("{head}{inserted}{}", if cut { "" } else { tail }), inserted] {
                if let Err(ConfigError::Mistake { line, text: said, .. }) = parse(Path::new("x.toml"), &text) {
                    prop_assert!(line >= 1 && line <= text.lines().count() + 1, "line {} of {:?}", line, text);
                    prop_assert!(!said.is_empty());
                }
            }
        }
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("sorce", "source"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("levle", "level"), 2);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let far = "unknown field `zzzzzz`, expected one of `app_id`, `scenario`";
        assert_eq!(with_suggestion(far), far);
        let near = with_suggestion("unknown field `appid`, expected one of `app_id`, `scenario`");
        assert!(near.ends_with("did you mean `app_id`?"), "{near}");
    }
}
