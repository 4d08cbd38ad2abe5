//! The manual page, in roff (`man-pages(7)`).

use std::io;

use clap::{Arg, Command};
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;

/// Tasks of an administrator, in the order in which a test performs them: title, text, commands.
const ADMINISTRATION: &[(&str, &str, &[&str])] = &[
    (
        "Create the first administrator",
        "The command prints a temporary password, which must be changed at the first login.",
        &["opentrons-auth-server user add ada --full-name 'Ada Lovelace' --account-type admin"],
    ),
    (
        "Turn access control on or off",
        "Turning it on requires an administrator who can log in. It can be turned off only at the \
         console, never over the network.",
        &[
            "opentrons-auth-server access-control enable --yes",
            "opentrons-auth-server access-control status",
            "opentrons-auth-server access-control disable --yes",
        ],
    ),
    (
        "Recover when nobody can log in",
        "At the serial console, opentrons-disable-crs deletes all accounts, settings and audit \
         logs, and reboots the robot, with access control off. It asks for a password, which is \
         the robot's serial number followed by -0000.",
        &[],
    ),
    (
        "Reset a lost password, or unlock an account",
        "Resetting the password also unlocks the account. With --password, the command prompts for \
         the new password or reads it from standard input; without it, the command prints a \
         temporary password.",
        &[
            "opentrons-auth-server user list",
            "opentrons-auth-server user reset-password ada",
            "opentrons-auth-server user unlock ada",
        ],
    ),
    (
        "Change, lock and inspect accounts",
        "Locking ends the user's sessions. The creation and the last login come from the audit log. \
         With --json, show prints an object with username, fullName, accountType, locked, \
         resetPassword, resetPasswordReason, sessions, created and lastLogin.",
        &[
            "opentrons-auth-server user add bob --full-name 'Bob Babbage'",
            "opentrons-auth-server user set bob --account-type auditor",
            "opentrons-auth-server user lock bob",
            "opentrons-auth-server user show bob",
            "opentrons-auth-server user list --long",
        ],
    ),
    (
        "End sessions",
        "The number of a session is no secret. With --json, list prints objects with id, username, \
         renewed (by the login or a refresh) and expires.",
        &[
            "opentrons-auth-server session list",
            "opentrons-auth-server session end --user bob",
        ],
    ),
    (
        "Show and change settings",
        "The settings have the names and units of the HTTP API.",
        &[
            "opentrons-auth-server settings show",
            "opentrons-auth-server settings set idleLogout=600 maxNumberOfLoginAttempts=null",
            "opentrons-auth-server settings reset --yes",
        ],
    ),
    (
        "Prepare for an inspection",
        "The first command verifies that no row of the audit log was removed or changed, and \
         prints the hash of the last row. The second command also compares the rows with their \
         lines in the journal, which detects a log that was rewritten as a whole, unless the \
         journal was rewritten too. The third command exports the log.",
        &[
            "opentrons-auth-server audit verify",
            "opentrons-auth-server audit verify --journal",
            "opentrons-auth-server audit export --format csv > audit.csv",
        ],
    ),
    (
        "Resend events that the audit server refused",
        "Refused events are set aside so that they do not hold up later ones. The first command \
         shows how many there are, the second sends them again.",
        &[
            "opentrons-auth-server audit status",
            "opentrons-auth-server audit resend",
        ],
    ),
    (
        "Back up and restore",
        "A backup contains the hashes of all passwords: keep it secret. Restoring ends all \
         sessions and keeps the audit log, unless that is empty.",
        &[
            "opentrons-auth-server backup accounts.backup",
            "opentrons-auth-server restore accounts.backup --yes",
        ],
    ),
];

/// Writes the manual page of `program` to `out`.
///
/// # Errors
/// The error of `out`, if writing to it fails.
pub fn write(mut program: Command, out: &mut dyn io::Write) -> io::Result<()> {
    program.build();
    let page = Man::new(program.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    let mut sections = Roff::new();
    sections.control("SH", ["COMMANDS"]);
    commands(&program, &mut sections);
    sections.control("PP", []);
    sections.text([roman(
        "All commands except completions, man and remote-access-allowed also accept \
         --persistence-directory and --json, before or after the command.",
    )]);
    sections.control("SH", ["ADMINISTRATION"]);
    sections.text([roman(
        "Run these commands on the robot as root, whether or not the service is running. Every \
         change is recorded in the audit log with the name of the user who made it. The console is \
         the serial line; ssh is available only while access control is off, or if the file \
         /etc/opentrons-allow-remote-access exists.",
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

/// Appends each subcommand of `parent` that can be run, with its arguments except the global ones.
fn commands(parent: &Command, sections: &mut Roff) {
    let is_own = |argument: &Arg| argument.get_id() != "help" && !argument.is_global_set();
    for command in parent.get_subcommands() {
        if command.get_name() == "help" {
            continue;
        }
        if command.has_subcommands() {
            commands(command, sections);
            continue;
        }
        let usage = command.clone().render_usage().to_string();
        sections.control("PP", []);
        sections.text([bold(usage.trim_start_matches("Usage: "))]);
        sections.control("RS", []);
        let about = command.get_long_about().or_else(|| command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        for (index, paragraph) in about.split("\n\n").enumerate() {
            if index > 0 {
                sections.control("PP", []);
            }
            sections.text([roman(sentence(paragraph))]);
        }
        for argument in command.get_arguments().filter(|each| is_own(each)) {
            item(argument, sections);
        }
        sections.control("RE", []);
    }
}

/// Ends a text with a full stop, which clap removes from short help.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// Appends an argument with its help and its possible values.
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
    sections.text([roman(sentence(&help))]);
}
