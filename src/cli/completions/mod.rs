//! Shell completions: the scripts, and what they offer. The scripts ask the program itself, so that
//! they offer its usernames and settings, too, and stay small.

mod words;

use clap::ValueEnum;

pub use self::words::{Completion, Wanted};

/// Returns the text of a script, which is installed from the layer.
macro_rules! script {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/meta-auth-server/recipes-connectivity/opentrons-auth-server/files/completions/",
            $name
        ))
    };
}

/// Shell with completions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// Bash, from version 4.4.
    Bash,
    /// Fish.
    Fish,
    /// Z shell.
    Zsh,
}

impl Shell {
    /// Returns the completion script, which the shell sources.
    pub fn script(self) -> &'static str {
        match self {
            Self::Bash => script!("opentrons-auth-server.bash"),
            Self::Fish => script!("opentrons-auth-server.fish"),
            Self::Zsh => script!("_opentrons-auth-server"),
        }
    }
}
