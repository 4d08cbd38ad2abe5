//! Questions at the terminal.

use std::io::{self, IsTerminal};

use super::error::{io_error, ConsoleError, Done};
use super::failure::{Kind, Refusal};
use crate::cli::console::{GivePassword, Sure};
use crate::os::terminal::ask_hidden;

/// Prompt for a new password.
pub(super) const NEW_PASSWORD: &str = "New password: ";

/// Asks for confirmation, unless `--yes` was given.
///
/// # Errors
/// - [`ConsoleError::Refused`]: the answer is not yes, or standard input is not a terminal.
/// - [`ConsoleError::Io`]: the answer cannot be read.
pub(super) fn confirm(sure: &Sure, question: &str) -> Done {
    if sure.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(not_confirmed(
            "standard input is not a terminal; pass --yes to confirm",
        ));
    }
    let answer = ask(&format!("{question} [y/N] "))?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(not_confirmed("nothing was changed"))
}

/// Asks a question at the terminal; returns the line typed.
///
/// # Errors
/// [`ConsoleError::Io`]: the answer cannot be read.
pub(super) fn ask(prompt: &str) -> Done<String> {
    eprint!("{prompt}");
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(io_error("read the answer"))?;
    Ok(answer)
}

fn not_confirmed(detail: &str) -> ConsoleError {
    Refusal::new(Kind::Failed, "notConfirmed", detail).into()
}

/// Reads the password if `--password` was given: typed twice at a terminal, after `prompt`, or one line of
/// standard input.
///
/// # Errors
/// - [`ConsoleError::Refused`]: the two passwords differ.
/// - [`ConsoleError::Io`]: the password cannot be read.
pub(super) fn read_password(give: &GivePassword, prompt: &str) -> Done<Option<String>> {
    if !give.password {
        return Ok(None);
    }
    let read = io_error("read the password");
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(&read)?;
        return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let [password, again] = ask_hidden([prompt, "Again: "]).map_err(&read)?;
    if again == password {
        return Ok(Some(password));
    }
    let detail = "the passwords do not match";
    Err(Refusal::new(Kind::Failed, "passwordsDiffer", detail).into())
}
