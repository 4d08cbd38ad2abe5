//! What fits at the end of a command line.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, ValueHint};

use crate::domain::directory::draft::{FIELDS, KINDS};
use crate::domain::settings::{Kind, Setting, SETTINGS};

/// Name of the value of `settings set`.
const NEW_VALUE: &str = "NAME=VALUE";
/// Name of the value of `directory set`.
const NEW_FIELD: &str = "FIELD=VALUE";

/// What fits at the end of a command line.
#[derive(Debug)]
pub struct Completion {
    /// Beginning of the last word, as typed so far.
    pub typed: String,
    /// What fits in its place.
    pub wanted: Wanted,
    /// State directory given on the command line.
    pub persistence_directory: Option<PathBuf>,
}

/// What fits in the place of a word.
#[derive(Debug)]
pub enum Wanted {
    /// One of these words, each with a description.
    Words(Vec<(String, String)>),
    /// Username after this text, which is the option with its `=` or empty.
    Username(String),
    /// Path of a file.
    File,
    /// Path of a directory.
    Directory,
}

/// Reading of a command line, up to some word.
struct Reading<'a> {
    /// Command that was read last.
    command: &'a Command,
    /// Number of its arguments that were read.
    arguments: usize,
    /// Option whose value comes next.
    awaits_value: Option<&'a Arg>,
    /// Whether `--` was read, which ends the options.
    has_ended_options: bool,
    persistence_directory: Option<PathBuf>,
}

impl Completion {
    /// Returns what fits in the place of the last of `words`, which follow the name of `program`.
    pub fn of(mut program: Command, words: &[String]) -> Self {
        program.build();
        let mut reading = Reading {
            command: &program,
            arguments: 0,
            awaits_value: None,
            has_ended_options: false,
            persistence_directory: None,
        };
        let (typed, before) = match words {
            [before @ .., typed] => (typed.as_str(), before),
            [] => ("", words),
        };
        for word in before {
            reading.read(word);
        }
        Self {
            typed: typed.to_owned(),
            wanted: reading.wanted(typed),
            persistence_directory: reading.persistence_directory,
        }
    }
}

impl<'a> Reading<'a> {
    fn read(&mut self, word: &str) {
        if let Some(option) = self.awaits_value.take() {
            self.note(option, word);
        } else if self.has_ended_options || !word.starts_with('-') {
            match self.command.find_subcommand(word) {
                Some(command) if !self.has_ended_options => {
                    (self.command, self.arguments) = (command, 0);
                }
                _ => self.arguments += 1,
            }
        } else if word == "--" {
            self.has_ended_options = true;
        } else if let Some((option, value)) = word.split_once('=') {
            if let Some(option) = self.option(option) {
                self.note(option, value);
            }
        } else if let Some(option) = self.option(word) {
            let takes_next = option.get_action().takes_values() && !option.is_require_equals_set();
            self.awaits_value = takes_next.then_some(option);
        }
    }

    /// Notes the value of an option if it decides what fits later.
    fn note(&mut self, option: &Arg, value: &str) {
        if option.get_id() == "persistence_directory" {
            self.persistence_directory = Some(value.into());
        }
    }

    /// Returns the option of the command with this name, which begins with its hyphens.
    fn option(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|option| {
            let long = option.get_long().zip(name.strip_prefix("--"));
            let short = option.get_short().zip(name.strip_prefix('-'));
            long.is_some_and(|(long, name)| long == name)
                || short.is_some_and(|(short, name)| name.chars().eq([short]))
        })
    }

    /// Returns what fits in the place of the next word.
    fn wanted(&self, typed: &str) -> Wanted {
        if let Some(option) = self.awaits_value {
            return values(option, typed, "");
        }
        if typed.starts_with('-') && !self.has_ended_options {
            return match typed.split_once('=') {
                None => self.options(),
                Some((name, value)) => self.option(name).map_or_else(
                    || Wanted::Words(Vec::new()),
                    |option| values(option, value, &format!("{name}=")),
                ),
            };
        }
        if self.command.has_subcommands() && self.arguments == 0 {
            return self.commands();
        }
        let mut arguments = self.command.get_positionals();
        let last = self.command.get_positionals().last();
        let repeated = last.filter(|last| matches!(last.get_action(), ArgAction::Append));
        match arguments.nth(self.arguments).or(repeated) {
            Some(argument) => values(argument, typed, ""),
            None => Wanted::Words(Vec::new()),
        }
    }

    fn options(&self) -> Wanted {
        let options = self.command.get_arguments().filter_map(|option| {
            let help = option.get_help().map(ToString::to_string);
            Some((
                format!("--{}", option.get_long()?),
                help.unwrap_or_default(),
            ))
        });
        Wanted::Words(options.collect())
    }

    fn commands(&self) -> Wanted {
        let shown = self
            .command
            .get_subcommands()
            .filter(|each| !each.is_hide_set());
        let commands = shown.map(|command| {
            let about = command.get_about().map(ToString::to_string);
            (command.get_name().to_owned(), about.unwrap_or_default())
        });
        Wanted::Words(commands.collect())
    }
}

/// Returns which values of an option or argument fit. `before`: text before the value in its word.
fn values(argument: &Arg, typed: &str, before: &str) -> Wanted {
    let possible = argument.get_possible_values();
    if argument.get_action().takes_values() && !possible.is_empty() {
        let words = possible.iter().map(|value| {
            let help = value.get_help().map(ToString::to_string);
            (
                format!("{before}{}", value.get_name()),
                help.unwrap_or_default(),
            )
        });
        return Wanted::Words(words.collect());
    }
    match argument.get_value_hint() {
        ValueHint::Username => Wanted::Username(before.to_owned()),
        ValueHint::AnyPath | ValueHint::FilePath => Wanted::File,
        ValueHint::DirPath => Wanted::Directory,
        _ if is_named(argument, NEW_VALUE) => Wanted::Words(new_values(typed)),
        _ if is_named(argument, NEW_FIELD) => Wanted::Words(new_fields(typed)),
        _ => Wanted::Words(Vec::new()),
    }
}

/// Returns whether the value of an argument has this name.
fn is_named(argument: &Arg, name: &str) -> bool {
    let mut names = argument.get_value_names().into_iter().flatten();
    names.any(|each| each == name)
}

/// Returns the names of all settings, or the values of one whose name was typed.
fn new_values(typed: &str) -> Vec<(String, String)> {
    let Some((name, _)) = typed.split_once('=') else {
        let name = |setting: &Setting| (format!("{}=", setting.name), setting.accepted());
        return SETTINGS.iter().map(name).collect();
    };
    let Some(setting) = Setting::named(name) else {
        return Vec::new();
    };
    let booleans: &[_] = match setting.kind {
        Kind::Boolean => &["true", "false"],
        _ => &[],
    };
    let null = setting.nullable.then_some("null");
    let values = booleans.iter().copied().chain(null);
    values
        .map(|value| (format!("{name}={value}"), String::new()))
        .collect()
}

/// Returns the names of the fields of a directory, or the values of one whose name was typed.
fn new_fields(typed: &str) -> Vec<(String, String)> {
    if typed.starts_with("kind=") {
        return KINDS
            .map(|kind| (format!("kind={kind}"), String::new()))
            .into();
    }
    if typed.contains('=') {
        return Vec::new();
    }
    let short = FIELDS.iter().filter(|field| field.is_short());
    short
        .map(|field| (format!("{}=", field.name), field.meaning.replace('`', "")))
        .collect()
}
