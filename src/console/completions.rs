//! What a completion script asks for.

use std::path::Path;

use crate::cli::completions::{Completion, Wanted};
use crate::cli::console::STATE;
use crate::domain::text::is_misleading;
use crate::os::owner;
use crate::store;

/// Returns what fits at the end of a command line, as the scripts read it: a line that says what kind of
/// text it is, and a line for each word that begins as typed, with a tab and its description.
pub fn completions(completion: &Completion) -> String {
    let words = match &completion.wanted {
        Wanted::File => return "file\n".into(),
        Wanted::Directory => return "directory\n".into(),
        Wanted::Words(words) => words.clone(),
        Wanted::Username(before) => {
            let directory = completion.persistence_directory.as_deref();
            let names = usernames(directory.unwrap_or(Path::new(STATE)));
            let words = names
                .into_iter()
                .map(|name| (format!("{before}{name}"), String::new()));
            words.collect()
        }
    };
    let mut said = "words\n".to_owned();
    for (word, description) in words {
        if word.starts_with(&completion.typed) {
            said += &format!("{word}\t{description}\n");
        }
    }
    said
}

/// Returns the usernames that can be typed, or none if this user may not read them.
fn usernames(directory: &Path) -> Vec<String> {
    let read = owner::become_owner(directory).map(|()| store::usernames(directory));
    let mut names = read.ok().and_then(Result::ok).unwrap_or_default();
    names.retain(|name| !name.contains(is_misleading));
    names
}
