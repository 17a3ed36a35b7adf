//! `docs/reference/errors.md` is made from the table of errors. When this test fails, run
//! `WRITE_DOCUMENTS=1 cargo test --release -p zego-protocol --test errors_document`.

#![allow(clippy::unwrap_used)] // a test that unwraps fails where it should

use std::fmt::Write;
use std::path::Path;

use zego_protocol::error::{CODES, ErrorName};

const HEAD: &str = "\
# Errors

<!-- Made from protocol/src/error/codes.rs; protocol/tests/errors_document.rs says how. -->

A refused call is a D-Bus error, `org.zegod1.Error.NAME`. Its message is one sentence that names the room, stream or device,
says what to do, and ends with the code in brackets:

```
org.zegod1.Error.RoomNotFound: Room 'lobby' is not logged in; log in to it first, or check its id [1002002]
```

The codes are ZEGO's. They are also in the signals, as `error_code`, where 0 means that nothing is wrong; there, codes such as
1002051 tell what goes on rather than what was refused. `zegoctl explain CODE` prints the row of a code, `zegoctl explain NAME`
the rows of a name. The room server ends the text of its refusals in the same way, and zegod passes such a code on.

Two names share a code: a view that is not there, or is of another kind, is `ViewNotFound` with 1000017.

";

fn document() -> String {
    let mut text = HEAD.to_string();
    for name in ErrorName::ALL {
        let rows: Vec<_> = CODES.iter().filter(|row| row.name == name).collect();
        if rows.is_empty() {
            continue;
        }
        writeln!(text, "## {name}\n\n| code | key | what is wrong | what to do |\n| --- | --- | --- | --- |").unwrap();
        for row in rows {
            let cell = |text: &str| {
                text.replace('|', "\\|").replace("~!@#$%^&*()_+=-`;',.<>\\", "``~!@#$%^&*()_+=-`;',.<>\\``")
            };
            writeln!(text, "| {} | `{}` | {} | {} |", row.code, row.key, cell(row.text), cell(row.advice)).unwrap();
        }
        text.push('\n');
    }
    format!("{}\n", text.trim_end())
}

#[test]
fn the_document_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/errors.md");
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == document(), "{} differs from the table; this file's head says how to make it", path.display());
}
