//! An example of every command, shown at the end of its help.

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;

/// Command and what can be typed.
const EXAMPLES: [(&str, &str); 35] = [
    ("status", "zegoctl status"),
    ("create-engine", "zegoctl create-engine --scenario 4"),
    ("destroy-engine", "zegoctl destroy-engine"),
    ("login", "zegoctl login lobby --user door --token TOKEN"),
    ("logout", "zegoctl logout lobby"),
    ("switch", "zegoctl switch lobby kitchen"),
    ("renew-token", "zegoctl renew-token lobby --token TOKEN"),
    ("extra-info", "zegoctl extra-info lobby mode night"),
    ("stream-info", "zegoctl stream-info door-cam front-door"),
    ("users", "zegoctl users lobby"),
    ("streams", "zegoctl streams lobby"),
    ("publish", "zegoctl publish door-cam"),
    ("unpublish", "zegoctl unpublish door-cam"),
    ("play", "zegoctl play desk-cam --view pipe:- | ffplay -"),
    ("stop", "zegoctl stop desk-cam"),
    ("preview", "zegoctl preview --view null"),
    ("video-config", "zegoctl video-config --preset 4"),
    ("audio-config", "zegoctl audio-config --preset 2"),
    ("layer", "zegoctl layer desk-cam small"),
    ("mute", "zegoctl mute microphone; zegoctl mute microphone off"),
    ("volume", "zegoctl volume speaker 50"),
    ("devices", "zegoctl devices"),
    ("use", "zegoctl use alsa:Headset,0"),
    ("message", "zegoctl message lobby dinner --to desk"),
    ("snapshot", "zegoctl snapshot desk-cam desk.png"),
    ("record", "zegoctl record desk-cam desk.mp4 --seconds 60"),
    ("stats", "zegoctl stats --watch"),
    ("levels", "zegoctl levels --vad"),
    ("diagnostics", "zegoctl diagnostics"),
    ("monitor", "zegoctl monitor --json"),
    ("doctor", "zegoctl doctor --user door --room lobby --token TOKEN"),
    ("find", "zegoctl find"),
    ("explain", "zegoctl explain 1002001"),
    ("token", "ZEGO_SECRET=SECRET zegoctl token --app-id 1234567890 --user door --room lobby"),
    ("completions", "zegoctl completions bash >~/.local/share/bash-completion/completions/zegoctl"),
];

/// The command line's definition with them.
pub fn with_examples() -> Command {
    EXAMPLES.into_iter().fold(Arguments::command(), |command, (name, example)| {
        command.mut_subcommand(name, |command| command.after_help(format!("Example:\n  {example}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example_that_can_be_typed() {
        for command in with_examples().get_subcommands() {
            let name = command.get_name();
            let help = command.get_after_help().unwrap_or_else(|| panic!("{name} has no example")).to_string();
            let example = help.split_once("  ").unwrap().1;
            for line in example.split("; ") {
                // What comes before the program, and behind a pipe or a file's sign, is the shell's.
                let words = line.split(' ').skip_while(|word| *word != "zegoctl");
                let words = words.take_while(|word| !word.starts_with(['|', '>']));
                let parsed = with_examples().try_get_matches_from(words);
                assert_eq!(parsed.unwrap().subcommand_name(), Some(name), "{line}");
            }
        }
    }
}
