//! Why does my device not work? Looks for the usual troubles, and says of each what to do.
//!
//! What is looked at is gathered first; the checks themselves are functions of what was seen and of the time.

pub mod clock;
pub mod devices;
pub mod discovery;
pub mod server;
pub mod token;

use serde_json::{Value, json};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Fine,
    /// It works, but maybe not as it is wanted.
    Warning,
    /// This keeps the device from working.
    Problem,
    /// It could not be looked at.
    Skipped,
}

impl Verdict {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Fine => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
            Verdict::Skipped => "skipped",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `bus`, `daemon`, `camera`, `server` …
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// One sentence about what is.
    pub message: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
    /// The error code that goes with it, if any; `zegoctl explain` knows it.
    pub code: Option<i32>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, verdict, message: message.into(), advice: advice.into(), code: None }
    }

    /// All is well.
    pub fn fine(check: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Fine, message, "")
    }

    /// It works, but.
    pub fn warning(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Warning, message, advice)
    }

    /// It does not work.
    pub fn problem(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Problem, message, advice)
    }

    /// It could not be looked at.
    pub fn skipped(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Skipped, message, advice)
    }

    /// The same with an error code.
    pub fn with_code(self, code: i32) -> Finding {
        Finding { code: Some(code), ..self }
    }

    /// As JSON.
    pub fn object(&self) -> Value {
        json!({
            "check": self.check, "verdict": self.verdict.word(), "message": self.message, "advice": self.advice,
            "code": self.code,
        })
    }
}

/// Whether nothing keeps the device from working.
pub fn is_healthy(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Problem)
}

/// The findings as lines for people: verdict, check, what is, and below it what to do.
pub fn lines(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let code = finding.code.map_or_else(String::new, |code| format!(" [{code}]"));
        lines.push(format!("{:7}  {:width$}  {}{code}", finding.verdict.word(), finding.check, finding.message));
        if !finding.advice.is_empty() {
            lines.push(format!("{:7}  {:width$}  What to do: {}", "", "", finding.advice));
        }
    }
    let problems = findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count();
    lines.push(match problems {
        0 => "\nNothing keeps this device from working.".to_string(),
        1 => "\nThere is 1 problem.".to_string(),
        many => format!("\nThere are {many} problems."),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_its_code_and_what_to_do() {
        let findings = [
            Finding::fine("bus", "It is there."),
            Finding::problem("camera", "It is busy.", "close it.").with_code(1_006_005),
        ];
        let text = lines(&findings);
        assert_eq!(
            text,
            "ok       bus     It is there.\nproblem  camera  It is busy. [1006005]\n                 What to do: close it.\n\nThere is 1 problem."
        );
        assert!(!is_healthy(&findings) && is_healthy(&findings[..1]));
        assert_eq!(findings[1].object()["verdict"], "problem");
    }
}
