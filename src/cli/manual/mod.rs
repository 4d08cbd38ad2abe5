//! The manual page, in roff (`man-pages(7)`).

mod text;

use clap::builder::PossibleValue;
use clap::{Arg, Command};
use roff::{bold, italic, roman, Inline, Roff};

use self::text::Entry;

/// Section of the manual: commands for administrators.
const SECTION: &str = "8";

/// Returns the manual page of `program`.
pub fn page(mut program: Command) -> String {
    program.build();
    let mut page = Roff::new();
    title_and_synopsis(&program, &mut page);
    page.control("SH", ["DESCRIPTION"]);
    for (index, paragraph) in text::DESCRIPTION.iter().enumerate() {
        if index > 0 {
            page.control("PP", []);
        }
        page.text([roman(*paragraph)]);
    }
    page.control("SH", ["OPTIONS"]);
    for option in program.get_arguments() {
        item(option, &mut page);
    }
    page.control("SH", ["COMMANDS"]);
    page.text([roman(text::OPTIONS_OF_COMMANDS)]);
    commands(&program, &mut page);
    page.control("SH", ["EXIT STATUS"]);
    entries(text::EXIT_STATUS, &mut page);
    end(text::EXIT_STATUS_OF_REMOTE_ACCESS, &mut page);
    environment(&program, &mut page);
    page.control("SH", ["FILES"]);
    entries(text::FILES, &mut page);
    end(text::FILES_OF_BACKUPS, &mut page);
    administration(&mut page);
    see_also(&mut page);
    page.render()
}

/// Appends what names the page, and the section SYNOPSIS.
fn title_and_synopsis(program: &Command, page: &mut Roff) {
    let name = program.get_name();
    let about = program
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let source = format!("{name} {}", program.get_version().unwrap_or_default());
    // roff leaves out an empty argument without quotation marks: the page has no date.
    let title = [name, SECTION, "\"\"", &source, "System administration"];
    page.control("TH", title);
    // Paths, options and commands must not be divided at the end of a line.
    page.control("nh", []).control("ad", ["l"]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {about}"))]);
    page.control("SH", ["SYNOPSIS"]);
    page.text(usage(&format!("{name} [OPTION...]")));
    page.control("br", []);
    page.text(usage(&format!("{name} COMMAND [OPTION...] [ARGUMENT...]")));
}

/// Appends a paragraph after a list.
fn end(text: &str, page: &mut Roff) {
    page.control("PP", []);
    page.text([roman(text)]);
}

/// Appends a list of terms with their descriptions.
fn entries(entries: &[Entry], page: &mut Roff) {
    for (term, description) in entries {
        page.control("TP", []);
        page.text([bold(*term)]);
        page.text([roman(*description)]);
    }
}

/// Appends each subcommand of `parent` that can be run, with its arguments except the global ones.
fn commands(parent: &Command, page: &mut Roff) {
    let is_own = |argument: &Arg| argument.get_id() != "help" && !argument.is_global_set();
    for command in parent.get_subcommands() {
        if command.get_name() == "help" || command.is_hide_set() {
            continue;
        }
        if command.has_subcommands() {
            commands(command, page);
            continue;
        }
        let text = command.clone().render_usage().to_string();
        page.control("PP", []);
        page.text(usage(text.trim_start_matches("Usage: ")));
        page.control("RS", []);
        let about = command.get_long_about().or_else(|| command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        for (index, paragraph) in about.split("\n\n").enumerate() {
            if index > 0 {
                page.control("PP", []);
            }
            page.text([roman(sentence(paragraph))]);
        }
        for argument in command.get_arguments().filter(|each| is_own(each)) {
            item(argument, page);
        }
        page.control("RE", []);
    }
}

/// Sets the names of values in italics and everything else in bold.
fn usage(text: &str) -> Vec<Inline> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = split(rest);
        parts.push(part);
        rest = after;
    }
    parts
}

/// Splits a usage text, which is not empty, after its first part. Alternatives get braces instead of
/// the angle brackets that clap puts around names, too.
fn split(text: &str) -> (Inline, &str) {
    if let Some(inner) = text.strip_prefix('<') {
        let (name, after) = inner.split_at(run(inner, is_of_name));
        return match after.strip_prefix('>') {
            Some(after) => (italic(name), after),
            None => (bold("{"), inner),
        };
    }
    if let Some(after) = text.strip_prefix('>') {
        return (bold("}"), after);
    }
    let is_literal = |c: char| !c.is_ascii_uppercase() && c != '<' && c != '>';
    match run(text, is_literal) {
        0 => {
            let (name, after) = text.split_at(run(text, is_of_name));
            (italic(name), after)
        }
        length => (bold(&text[..length]), &text[length..]),
    }
}

/// Returns the length of the beginning of a text whose characters `belong` together.
fn run(text: &str, belong: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belong(c)).unwrap_or(text.len())
}

/// Returns whether a character belongs to the name of a value, such as `NAME=VALUE`.
fn is_of_name(c: char) -> bool {
    c.is_ascii_uppercase() || matches!(c, '=' | ':')
}

/// Ends a text with a full stop, which clap removes from short help.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// Appends an option or argument with its help, its possible values, its default and its variable.
fn item(argument: &Arg, page: &mut Roff) {
    page.control("TP", []);
    let mut term: Vec<_> = argument
        .get_short()
        .into_iter()
        .flat_map(|short| [bold(format!("-{short}")), roman(", ")])
        .collect();
    term.extend(usage(&argument.to_string()));
    page.text(term);
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut said = sentence(&help.map(ToString::to_string).unwrap_or_default());
    let takes_values = argument.get_action().takes_values();
    if let Some(default) = argument
        .get_default_values()
        .first()
        .filter(|_| takes_values)
    {
        said += &format!(" The default is {}.", default.to_string_lossy());
    }
    page.text([roman(said)]);
    let values = argument.get_possible_values();
    if !takes_values || values.is_empty() {
        return;
    }
    if values.iter().all(|value| value.get_help().is_none()) {
        let names: Vec<_> = values.iter().map(PossibleValue::get_name).collect();
        page.text([roman(format!("Possible values: {}.", names.join(", ")))]);
        return;
    }
    page.control("RS", []);
    for value in values {
        page.control("TP", []);
        page.text([bold(value.get_name())]);
        let help = value.get_help().map(ToString::to_string);
        page.text([roman(sentence(&help.unwrap_or_default()))]);
    }
    page.control("RE", []);
}

/// Appends the section ENVIRONMENT.
fn environment(program: &Command, page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    page.text([roman(text::ENVIRONMENT_OF_OPTIONS)]);
    for option in program.get_arguments() {
        if let (Some(variable), Some(long)) = (option.get_env(), option.get_long()) {
            page.control("TP", []);
            page.text([bold(variable.to_string_lossy())]);
            page.text([roman("Sets "), bold(format!("--{long}")), roman(".")]);
        }
    }
    end("Other variables:", page);
    entries(text::ENVIRONMENT, page);
}

/// Appends the section ADMINISTRATION.
fn administration(page: &mut Roff) {
    page.control("SH", ["ADMINISTRATION"]);
    page.text([roman(text::ADMINISTRATION_INTRODUCTION)]);
    for (title, text, lines) in text::ADMINISTRATION {
        page.control("SS", [*title]);
        page.text([roman(*text)]);
        if lines.is_empty() {
            continue;
        }
        page.control("PP", []).control("EX", []);
        for line in *lines {
            page.text([roman(*line)]);
        }
        page.control("EE", []);
    }
}

/// Appends the section SEE ALSO.
fn see_also(page: &mut Roff) {
    page.control("SH", ["SEE ALSO"]);
    for (index, (name, section)) in text::SEE_ALSO.iter().enumerate() {
        let stop = if index + 1 < text::SEE_ALSO.len() {
            ","
        } else {
            ""
        };
        page.text([bold(*name), roman(format!("({section}){stop}"))]);
    }
}
