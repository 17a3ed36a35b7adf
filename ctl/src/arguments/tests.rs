//! What is understood, and what is refused.

use clap::CommandFactory;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn noise_is_refused_or_understood(words in proptest::collection::vec("(--)?[a-z0-9:=x,.é-]{0,12}", 0..8)) {
        let _ = Arguments::try_parse_from(std::iter::once("zegoctl".to_string()).chain(words));
    }

    #[test]
    fn values_are_read_as_they_are_written(width: u32, height: u32, colour in 0_u32..1 << 24, id: u64) {
        prop_assert_eq!(format!("{width}x{height}").parse(), Ok(settings::Size { width, height }));
        prop_assert_eq!(format!("{colour:06x}").parse(), Ok(view::Colour(colour)));
        prop_assert_eq!(format!("id:{id}").parse(), Ok(ViewTarget::Existing(id)));
    }
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split(' '))
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn wrong_usage_has_status_2() {
    for line in [
        "zegoctl",
        "zegoctl dance",
        "zegoctl login lobby",
        "zegoctl login --user a",
        "zegoctl --bus nowhere status",
        "zegoctl publish s --audio-only --video-only",
        "zegoctl publish s --channel 4",
        "zegoctl volume speaker 201",
        "zegoctl volume speaker -1",
        "zegoctl mute microphone maybe",
        "zegoctl play s --view hdmi",
        "zegoctl play s --view pipe:",
        "zegoctl play s --view id:texture",
        "zegoctl play s --audio-only --video-only",
        "zegoctl play s --audio-only --view null",
        "zegoctl play s --room r --whep-url http://h/whep",
        "zegoctl play s --view null --fit tile",
        "zegoctl play s --view null --background red",
        "zegoctl play s --view null --background +12345",
        "zegoctl preview --stop --no-mirror",
        "zegoctl publish s --info front --whip-url http://h/whip",
        "zegoctl preview --stop --view null",
        "zegoctl message r t --to a --barrage",
        "zegoctl switch lobby",
        "zegoctl extra-info lobby mode",
        "zegoctl create-engine --scenario karaoke",
        "zegoctl video-config",
        "zegoctl video-config --size 640",
        "zegoctl video-config --size 640x480 --channel 4",
        "zegoctl audio-config",
        "zegoctl layer s huge",
        "zegoctl levels --interval 99",
        "zegoctl levels --interval 3001",
        "zegoctl find --seconds 0",
        "zegoctl find here",
        "zegoctl snapshot",
        "zegoctl record -o x.mp4 --seconds 0",
        "zegoctl record -o x.mp4 --audio-only --video-only",
        "zegoctl token --app-id 1 --secret s --user u --ttl 0",
        "zegoctl token --app-id 1 --secret s --user u --kind jwt",
        "zegoctl status --color",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["zegoctl --help", "zegoctl --version", "zegoctl play --help"] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
    }
}

#[test]
fn bus_and_json_may_stand_anywhere() {
    for line in ["zegoctl --bus session --json status", "zegoctl status --json --bus session"] {
        let arguments = parse(line).unwrap();
        assert!(arguments.json && arguments.bus == BusChoice::Session, "{line}");
    }
    let arguments = parse("zegoctl --bus unix:path=/run/x status").unwrap();
    assert_eq!(arguments.bus, BusChoice::Address("unix:path=/run/x".to_string()));
}

#[test]
fn every_command_and_option_is_in_the_reference_and_the_manual() {
    let reference = include_str!("../../../docs/reference/zegoctl.md");
    let manual = include_str!("../../../docs/reference/man/zegoctl.1").replace("\\-", "-");
    for command in Arguments::command().get_subcommands() {
        let name = command.get_name();
        assert!(reference.contains(&format!("| `{name}")), "{name}");
        assert!(manual.contains(&format!("\\fB{name}\\fR")), "{name}");
        for option in command.get_opts().filter_map(|option| option.get_long()) {
            let option = format!("--{option}");
            assert!(reference.contains(&option) && manual.contains(&option), "{name} {option}");
        }
    }
}

#[test]
fn views_are_read_by_kind() {
    for (text, view) in [
        ("none", ViewTarget::None),
        ("null", ViewTarget::Null),
        ("id:12", ViewTarget::Existing(12)),
        ("kms:HDMI-A-1", ViewTarget::Kms("HDMI-A-1".into())),
        ("v4l2:/dev/video9", ViewTarget::V4l2("/dev/video9".into())),
        ("pipe:/tmp/a:b.y4m", ViewTarget::Pipe("/tmp/a:b.y4m".into())),
        ("pipe:-", ViewTarget::Pipe("-".into())),
    ] {
        assert_eq!(text.parse(), Ok(view), "{text}");
    }
}
