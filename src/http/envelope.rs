//! The envelope of errors, the same over HTTP and at the console.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Body of an error response.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Errors; if a password breaks several rules, one entry for each.
    errors: Vec<ErrorEntry>,
    /// The same as `detail` of the first error; first-generation clients read it here.
    detail: String,
}

/// Description of one error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorEntry {
    /// Stable identifier of the error, for programs.
    #[schema(value_type = String, example = "notFound")]
    pub id: Cow<'static, str>,
    /// Description of the error in one sentence, for people.
    pub detail: String,
    /// Further data: for `passwordTooShort`, `requiredLength` and `actualLength` in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    pub meta: Option<Value>,
}

impl ErrorBody {
    /// Creates the envelope of one error.
    pub fn new(id: &'static str, detail: String) -> Self {
        let id = id.into();
        let meta = None;
        [ErrorEntry { id, detail, meta }].into_iter().collect()
    }

    /// Returns the descriptions of all errors, in order.
    pub fn details(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(|entry| entry.detail.as_str())
    }
}

impl FromIterator<ErrorEntry> for ErrorBody {
    fn from_iter<T: IntoIterator<Item = ErrorEntry>>(entries: T) -> Self {
        let errors = Vec::from_iter(entries);
        let detail = errors.first().map(|entry| entry.detail.clone());
        Self {
            errors,
            detail: detail.unwrap_or_default(),
        }
    }
}
