//! `explain`: what an error code means.

use serde_json::{Value, json};
use zego_protocol::error::{self, CodeInfo, ErrorName};

use crate::failure::Failure;
use crate::output::Output;

/// Prints the table's rows of a code, a key or an error's name.
pub fn explain(asked: &str, output: Output) -> Result<(), Failure> {
    let rows = rows_of(asked);
    if rows.is_empty() {
        let why = format!("'{asked}' is neither a code nor an error's name or key that zegod gives out");
        return Err(Failure::local(why).with_hint(|| "All of them: /usr/share/doc/zegoctl/errors.md".to_string()));
    }
    let object = match rows[..] {
        [row] if row.code.to_string() == asked.trim_matches(['[', ']']) => object(row),
        _ => json!({"errors": rows.iter().map(|row| object(row)).collect::<Vec<_>>()}),
    };
    output.answer(&object, || rows.iter().map(|row| lines(row)).collect::<Vec<_>>().join("\n\n"))
}

fn rows_of(asked: &str) -> Vec<&'static CodeInfo> {
    // As copied from the end of a message.
    let asked = asked.trim_matches(['[', ']']);
    if let Ok(code) = asked.parse() {
        return error::lookup(code).into_iter().collect();
    }
    if let Ok(name) = asked.parse::<ErrorName>() {
        return error::CODES.iter().filter(|row| row.name == name).collect();
    }
    error::CODES.iter().filter(|row| row.key == asked).collect()
}

fn object(row: &CodeInfo) -> Value {
    json!({
        "code": row.code, "name": row.name.short(), "dbus_name": row.name.dbus_name(), "key": row.key,
        "text": row.text, "advice": row.advice,
    })
}

fn lines(row: &CodeInfo) -> String {
    format!("{} {} ({})\n{}.\nWhat to do: {}.", row.code, row.name, row.key, row.text, row.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_a_key_and_a_name_find_their_rows() {
        assert_eq!(rows_of("1002033").len(), 1);
        assert_eq!(rows_of("[1002033]")[0].key, "authentication_failed");
        assert_eq!(rows_of("token_expired")[0].code, 1_002_078);
        assert!(rows_of("InvalidArgument").len() > 20);
        assert_eq!(rows_of("org.zegod1.Error.RoomFull")[0].code, 1_002_034);
        assert!(rows_of("42").is_empty() && rows_of("nonsense").is_empty());
    }

    #[test]
    fn an_explanation_says_what_to_do() {
        let text = lines(rows_of("1003028")[0]);
        assert!(text.starts_with("1003028 StreamExists (stream_exists)\n"), "{text}");
        assert!(text.contains("\nWhat to do: use another stream id."), "{text}");
    }
}
