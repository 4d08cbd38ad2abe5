//! Where a user comes from: an account of the robot's own, or a person of the lab's directory.

use crate::domain::time::Moment;

/// Identifier of a person, which the directory never changes nor gives to another: `objectGUID` or
/// `entryUUID` (RFC 4530), as 32 hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(String);

impl DirectoryId {
    /// Reads an identifier; `None` if it is not 32 hexadecimal digits in lower case.
    pub fn from_text(text: String) -> Option<Self> {
        let digits = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(digits)).then_some(Self(text))
    }

    /// Returns the digits.
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

/// What is known of a user of the lab's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfDirectory {
    /// Identifier of the person.
    pub id: DirectoryId,
    /// Time at which the directory was last asked about the person, and answered.
    pub looked_up: Moment,
    /// Time at which the directory last confirmed the password that the user's hash is of; `None` if
    /// the hash is of no password.
    pub confirmed: Option<Moment>,
}
