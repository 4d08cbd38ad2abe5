//! `directory`: showing, changing, trying and removing the configuration of the lab's directory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{json, Map, Value};

use super::error::{io_error, ConsoleError, Done};
use super::failure::{Kind, Refusal};
use super::prompt::{confirm, read_password};
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::table::lines;
use super::{unexpected, Console};
use crate::cli::console::{DirectoryCommand, GivePassword, NewDirectory, NewField, Sure};
use crate::domain::directory::draft::{Accepts, Field, FIELDS};
use crate::domain::text::escape;
use crate::http::views::Source;
use crate::os::files;

/// File name that stands for standard input.
const STANDARD: &str = "-";
/// Maximum size of a file, in bytes: that of a request over HTTP.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// JSON object of a configuration.
type Members = Map<String, Value>;

/// What was read from the files that the user named, and the password.
#[derive(Default)]
struct Files {
    configuration: Option<Members>,
    ca: Option<String>,
    password: Option<String>,
}

impl Console<'_> {
    pub(super) fn lab_directory(&self, command: &DirectoryCommand) -> Done {
        // Read with the rights of the user, before this process becomes the owner of the state directory.
        let files = match command {
            DirectoryCommand::Set { new, .. } | DirectoryCommand::Test { new, .. } => {
                self.read_files(new)?
            }
            DirectoryCommand::Show | DirectoryCommand::Remove { .. } => Files::default(),
        };
        self.enter()?;
        match command {
            DirectoryCommand::Show => {
                let shown = self.present()?;
                self.print_directory(&shown, &[])
            }
            DirectoryCommand::Set { new, no_test, .. } => self.set_directory(new, files, !no_test),
            DirectoryCommand::Test { new, .. } => self.test_directory(new, files),
            DirectoryCommand::Remove { sure, .. } => self.remove_directory(sure),
        }
    }

    fn set_directory(&self, new: &NewDirectory, files: Files, test: bool) -> Done {
        let configuration = self.configuration(new, files)?;
        let request = ConsoleRequest::SetDirectory {
            configuration,
            test,
        };
        match self.change(request)? {
            ConsoleResponse::DirectorySet(Value::Object(set), found) => {
                self.print_directory(&set, &found)
            }
            _ => Err(unexpected()),
        }
    }

    fn test_directory(&self, new: &NewDirectory, files: Files) -> Done {
        let given = if new.is_empty() {
            None
        } else {
            Some(self.configuration(new, files)?)
        };
        match self.change(ConsoleRequest::TestDirectory(given))? {
            ConsoleResponse::DirectoryTested(found) => {
                self.print_either(&json!({ "found": found }), &sentences(&found))
            }
            _ => Err(unexpected()),
        }
    }

    fn remove_directory(&self, sure: &Sure) -> Done {
        // Nobody is asked about a directory that is not configured.
        self.present()?;
        let ConsoleResponse::Users(users) = self.request(ConsoleRequest::ListUsers)? else {
            return Err(unexpected());
        };
        let of_directory = users
            .iter()
            .filter(|user| user.source == Source::Directory)
            .count();
        let question = format!(
            "Remove the directory? Its users ({of_directory} now) cannot log in any more, and their \
             sessions end."
        );
        confirm(sure, &question)?;
        match self.change(ConsoleRequest::RemoveDirectory)? {
            ConsoleResponse::DirectoryRemoved(users) => {
                let said =
                    format!("removed the directory; users who cannot log in any more: {users}\n");
                self.print_either(&json!({ "users": users }), &said)
            }
            _ => Err(unexpected()),
        }
    }

    /// Requests the present configuration.
    fn present(&self) -> Done<Members> {
        directory_of(self.request(ConsoleRequest::Directory)?)
    }

    /// Reads the files that the user named, and the password.
    fn read_files(&self, new: &NewDirectory) -> Done<Files> {
        let configuration = new.file.as_deref().map(|file| self.read_file(file));
        let configuration = configuration.transpose()?;
        let configuration = configuration.as_deref().map(members_of).transpose()?;
        let ca = new.ca.as_deref().map(|file| self.read_file(file));
        let ca = ca.transpose()?;
        let password = match &new.bind_password_file {
            Some(file) => {
                let text = self.read_file(file)?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
            None => {
                let password = new.bind_password;
                read_password(&GivePassword { password }, "Password of the bind account: ")?
            }
        };
        Ok(Files {
            configuration,
            ca,
            password,
        })
    }

    /// Reads a file, or standard input.
    fn read_file(&self, file: &Path) -> Done<String> {
        let mut text = String::new();
        let read = if file == Path::new(STANDARD) {
            io::stdin()
                .take(MAX_FILE_BYTES + 1)
                .read_to_string(&mut text)
        } else {
            let opened = if files::is_within(file, self.directory()) {
                self.enter()?;
                files::open_regular(file)
            } else {
                File::open(file)
            };
            opened.and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        };
        let named = |error: io::Error| {
            let (kind, file) = (error.kind(), file.display());
            io::Error::new(kind, format!("{file}: {error}"))
        };
        read.map_err(named)
            .map_err(io_error("read a file"))
            .map_err(ConsoleError::about_named_file)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            let what = format!("must have at most {MAX_FILE_BYTES} bytes");
            return Err(refused(&format!("{}: {what}", file.display())));
        }
        Ok(text)
    }

    /// Returns a configuration: that in the file or, if none was named, the present one, with the values
    /// that were given instead of its own.
    fn configuration(&self, new: &NewDirectory, files: Files) -> Done<Value> {
        let mut members = match files.configuration {
            Some(members) => members,
            None => match self.present() {
                // None is configured yet.
                Err(ConsoleError::Refused(refusal)) if refusal.kind == Kind::NotFound => {
                    Members::new()
                }
                present => present?,
            },
        };
        for NewField { field, .. } in &new.fields {
            members.remove(field.name);
            // Only one of these can be.
            match field.name {
                "userFilter" => members.remove("upnSuffix"),
                "upnSuffix" => members.remove("userFilter"),
                _ => None,
            };
        }
        for NewField { field, text } in new.fields.iter().filter(|new| !new.text.is_empty()) {
            let value = match field.accepts {
                Accepts::List(_) => {
                    let list = members.entry(field.name).or_insert_with(|| json!([]));
                    if let Value::Array(items) = list {
                        items.push(text.as_str().into());
                    }
                    continue;
                }
                Accepts::Number(..) => text.parse::<u32>().ok().into(),
                _ => text.as_str().into(),
            };
            members.insert(field.name.into(), value);
        }
        for (name, text) in [("ca", files.ca), ("bindPassword", files.password)] {
            if let Some(text) = text {
                members.insert(name.into(), text.into());
            }
        }
        let configuration = Value::from(members);
        if configuration.to_string().len() as u64 > MAX_FILE_BYTES {
            let what = format!("the configuration must have at most {MAX_FILE_BYTES} bytes");
            return Err(refused(&what));
        }
        Ok(configuration)
    }

    /// Prints a configuration, after what a test found if this is text.
    fn print_directory(&self, members: &Members, found: &[String]) -> Done {
        self.print_either(&json!(members), &(sentences(found) + &table(members)))
    }
}

/// Reads a configuration, and refuses members that it does not have.
fn members_of(text: &str) -> Done<Members> {
    let members: Members = serde_json::from_str(text).map_err(|error| {
        // Without serde's reason, which may quote a password.
        let (line, column) = (error.line(), error.column());
        refused(&format!(
            "--file: must be a JSON object; error at line {line}, column {column}"
        ))
    })?;
    match members.keys().find(|name| Field::named(name).is_none()) {
        Some(unknown) => Err(refused(&format!("--file: {unknown:?} is no field"))),
        None => Ok(members),
    }
}

/// Returns the configuration in a response.
fn directory_of(response: ConsoleResponse) -> Done<Members> {
    match response {
        ConsoleResponse::Directory(Value::Object(members)) => Ok(members),
        _ => Err(unexpected()),
    }
}

/// Formats what a test found, a line for each server.
fn sentences(found: &[String]) -> String {
    let lines = found.iter().map(|found| format!("{}\n", escape(found)));
    lines.collect()
}

/// Formats a configuration as a table: a line for each field, and for each value of a list.
fn table(members: &Members) -> String {
    let mut rows = Vec::new();
    for field in &FIELDS {
        match &members.get(field.name) {
            None => {}
            Some(Value::String(ca)) if field.name == "ca" => {
                let number = ca.matches("-----BEGIN ").count();
                let shown = format!("number of certificates: {number}; --json shows them");
                rows.push([field.name.to_owned(), shown]);
            }
            Some(Value::Array(items)) => {
                let items = items.iter().filter_map(Value::as_str);
                rows.extend(items.map(|item| [field.name.to_owned(), escape(item).into_owned()]));
            }
            Some(Value::String(text)) => {
                rows.push([field.name.to_owned(), escape(text).into_owned()]);
            }
            Some(value) => rows.push([field.name.to_owned(), value.to_string()]),
        }
    }
    lines(["FIELD", "VALUE"], rows.into_iter())
}

fn refused(detail: &str) -> ConsoleError {
    Refusal::new(Kind::Refused, "invalidRequest", detail).into()
}
