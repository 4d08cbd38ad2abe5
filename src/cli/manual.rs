//! The manual page, in roff (`man-pages(7)`).

use std::io;

use clap::{Arg, Args, Command};
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;

use super::console::Common;

/// What an administrator does, in the order in which a test does it: title, text, commands.
const ADMINISTRATION: &[(&str, &str, &[&str])] = &[
    (
        "The first administrator",
        "The command prints a temporary password, which the administrator replaces at the first \
         login.",
        &["opentrons-auth-server user add ada --full-name 'Ada Lovelace' --account-type admin"],
    ),
    (
        "Access control",
        "It takes an administrator who can log in. Over the network it is never turned off again.",
        &[
            "opentrons-auth-server access-control enable",
            "opentrons-auth-server access-control status",
            "opentrons-auth-server access-control disable --yes",
        ],
    ),
    (
        "Nobody is left who can log in",
        "At the serial line, opentrons-disable-crs forgets all accounts, settings and audit logs \
         and restarts the robot, with access control off. It asks for a password, which is the \
         robot's serial number followed by -0000.",
        &[],
    ),
    (
        "A lost password, or a locked account",
        "A new temporary password unlocks the account too. With --password it is asked for, or \
         read from standard input.",
        &[
            "opentrons-auth-server user list",
            "opentrons-auth-server user reset-password ada",
            "opentrons-auth-server user unlock ada",
        ],
    ),
    (
        "An inspection",
        "The first command checks that no row of the audit log is missing or was changed, and \
         prints the hash of the last one; the second compares with the lines of the journal too, \
         which a log that was rewritten whole does not fit, unless the journal was rewritten as \
         well; the third writes the log out.",
        &[
            "opentrons-auth-server audit verify",
            "opentrons-auth-server audit verify --journal",
            "opentrons-auth-server audit export --format csv > audit.csv",
        ],
    ),
    (
        "Events that the audit server has refused",
        "They are set aside, so that others go on. The first command tells how many there are, the \
         second sends them again.",
        &[
            "opentrons-auth-server audit status",
            "opentrons-auth-server audit resend",
        ],
    ),
    (
        "A backup",
        "It holds the hashes of all passwords. Restoring ends every login, and keeps the audit \
         log unless that is empty.",
        &[
            "opentrons-auth-server backup accounts.backup",
            "opentrons-auth-server restore accounts.backup --yes",
        ],
    ),
];

/// The page of a program.
///
/// # Errors
/// As `out`'s.
pub fn write(mut program: Command, out: &mut dyn io::Write) -> io::Result<()> {
    program.build();
    let page = Man::new(program.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    let mut common = Common::augment_args(Command::new("common").disable_help_flag(true));
    common.build();
    let mut sections = Roff::new();
    sections.control("SH", ["COMMANDS"]);
    commands(&program, &common, &mut sections);
    sections.control("PP", []);
    sections.text([roman(
        "All but completions, man and remote-access-allowed also take",
    )]);
    for argument in common.get_arguments() {
        item(argument, &mut sections);
    }
    sections.control("SH", ["FOR THE LAB'S ADMINISTRATOR"]);
    sections.text([roman(
        "Typed on the robot, as root, whether the service runs or not. What changes something is \
         in the audit log with the name of who typed it. The console is the serial line: ssh lets \
         in only while access control is off, or once there is a file \
         /etc/opentrons-allow-remote-access.",
    )]);
    for (title, text, lines) in ADMINISTRATION {
        sections.control("SS", [*title]);
        sections.text([roman(*text)]);
        if lines.is_empty() {
            continue;
        }
        sections.control("PP", []).control("EX", []);
        for line in *lines {
            sections.text([roman(*line)]);
        }
        sections.control("EE", []);
    }
    sections.to_writer(out)?;
    page.render_extra_section(out)?;
    page.render_version_section(out)
}

/// Each command that does something, with what it takes beside the `common`.
fn commands(parent: &Command, common: &Command, sections: &mut Roff) {
    let is_own = |argument: &Arg| {
        let mut others = common.get_arguments();
        argument.get_id() != "help" && others.all(|other| other.get_id() != argument.get_id())
    };
    for command in parent.get_subcommands() {
        if command.get_name() == "help" {
            continue;
        }
        if command.has_subcommands() {
            commands(command, common, sections);
            continue;
        }
        let usage = command.clone().render_usage().to_string();
        sections.control("PP", []);
        sections.text([bold(usage.trim_start_matches("Usage: "))]);
        sections.control("RS", []);
        if let Some(about) = command.get_about() {
            sections.text([roman(format!("{about}."))]);
        }
        for argument in command.get_arguments().filter(|each| is_own(each)) {
            item(argument, sections);
        }
        sections.control("RE", []);
    }
}

fn item(argument: &Arg, sections: &mut Roff) {
    let mut help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        help = format!("{help}: {}", values.join(", "));
    }
    sections.control("TP", []);
    sections.text([bold(argument.to_string())]);
    sections.text([roman(format!("{help}."))]);
}
