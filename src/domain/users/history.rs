//! Creation and last login of each user, as the audit log tells them.

use std::collections::HashMap;

use crate::domain::audit::{AuditRow, IMPORT, LOGIN_SUCCEEDED};

/// Action of the events that record created users.
pub const CREATED: &str = "create user";
/// Action of the events that record what administrators change.
pub const UPDATED: &str = "update user";
/// Action of the events that record what users change about themselves.
pub const UPDATED_SELF: &str = "update self";

/// When an account was created and used (RFC 3339, in UTC). `None` if the audit log does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Time at which the account was created.
    pub created: Option<String>,
    /// Time of the last login.
    pub last_login: Option<String>,
}

/// Times of all usernames, gathered from the rows of the audit log in their order.
#[derive(Debug, Default)]
pub struct History(HashMap<String, Times>);

impl History {
    /// Takes note of a row. Usernames are compared as the rows' messages quote them.
    pub fn take(&mut self, row: &AuditRow) {
        let event = &row.event;
        let time = || Some(row.time.clone());
        match event.action.as_str() {
            CREATED => {
                if let Some(name) = event.message.split(' ').nth(3).and_then(quoted) {
                    let times = Times {
                        created: time(),
                        last_login: None,
                    };
                    self.0.insert(name.into(), times);
                }
            }
            LOGIN_SUCCEEDED => {
                let name = format!("{:?}", event.account_name);
                self.0.entry(name).or_default().last_login = time();
            }
            UPDATED | UPDATED_SELF => {
                if let Some((old, new)) = renamed(&event.message) {
                    let times = self.0.get(old).cloned().unwrap_or_default();
                    self.0.insert(new.into(), times);
                }
            }
            // The accounts are others than before.
            IMPORT => self.0.clear(),
            _ => {}
        }
    }

    /// Returns the times of the user with this username.
    pub fn of(&self, username: &str) -> Times {
        let times = self.0.get(&format!("{username:?}"));
        times.cloned().unwrap_or_default()
    }
}

/// Returns the old and the new username, each quoted, if the message is about a new one. A quoted
/// name contains no quotation mark that a backslash does not precede, so it cannot pretend to be one.
fn renamed(message: &str) -> Option<(&str, &str)> {
    let (_, names) = message.rsplit_once(" username ")?;
    let (old, new) = names.split_once(" → ")?;
    let new = quoted(new.split(' ').next()?)?;
    old.starts_with('"').then_some((old, new))
}

/// Returns a text up to its last quotation mark.
fn quoted(text: &str) -> Option<&str> {
    text.get(..=text.rfind('"')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::{Actor, Origin};
    use crate::domain::authority::Caller;

    /// Gathers rows, each an account name, an action and a message, at the times 1, 2 and so on.
    fn history(rows: &[(&str, &str, &str)]) -> History {
        let mut history = History::default();
        for (seq, (name, action, message)) in (1..).zip(rows) {
            let caller = Caller {
                actor: Actor {
                    account_name: (*name).into(),
                    legal_name: "Ada".into(),
                },
                ..Caller::anonymous(Origin::Http, None)
            };
            history.take(&AuditRow {
                seq,
                time: seq.to_string(),
                event: caller.event(action, (*message).into()),
            });
        }
        history
    }

    fn times(created: Option<&str>, last_login: Option<&str>) -> Times {
        Times {
            created: created.map(Into::into),
            last_login: last_login.map(Into::into),
        }
    }

    #[test]
    fn a_name_that_was_given_anew_has_no_login_of_its_former_user() {
        let created = (
            "",
            CREATED,
            "Created the user \"a\" (\"A\") with a temporary password.",
        );
        let login = ("a", LOGIN_SUCCEEDED, "\"a\" (\"A\") logged in.");
        assert_eq!(
            history(&[created, login]).of("a"),
            times(Some("1"), Some("2"))
        );
        assert_eq!(
            history(&[created, login, created]).of("a"),
            times(Some("3"), None)
        );
        let import = ("", IMPORT, "Imported.");
        assert_eq!(
            history(&[created, login, import, login]).of("a"),
            times(None, Some("4"))
        );
    }

    #[test]
    fn messages_of_the_first_edition_are_read_too() {
        for rest in [".", " with a temporary password."] {
            let message = format!("Created the admin \"a.\"{rest}");
            let history = history(&[("", CREATED, &message)]);
            assert_eq!(history.of("a."), times(Some("1"), None));
        }
    }

    #[test]
    fn times_follow_a_new_username() {
        for (message, new) in [
            ("Changed the user \"a\" (\"A\"): username \"a\" → \"b,c\", locked.", "b,c"),
            ("Changed the user \"a\" (\"A\"): full name \"A\" → \"B\", username \"a\" → \"\\\"b\".", "\"b"),
        ] {
            let history = history(&[
                ("", CREATED, "Created the user \"a\" (\"A\")."),
                ("a", LOGIN_SUCCEEDED, "\"a\" (\"A\") logged in."),
                ("a", UPDATED_SELF, message),
            ]);
            assert_eq!(history.of(new), times(Some("1"), Some("2")), "{message}");
        }
    }

    #[test]
    fn a_full_name_cannot_pretend_to_be_a_new_username() {
        let history = history(&[
            ("", CREATED, "Created the user \"a\" (\"A\")."),
            (
                "a",
                UPDATED,
                "Changed the user \"a\" (\"A\"): full name \"A\" → \"x username \\\"a\\\" → \\\"b\\\"\".",
            ),
        ]);
        assert_eq!(history.of("b"), Times::default());
        assert_eq!(history.of("a"), times(Some("1"), None));
    }
}
