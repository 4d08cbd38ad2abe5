//! Tables that people read.

use comfy_table::{presets, Table};

use crate::domain::text::escape;
use crate::domain::users::AccountType;
use crate::http::views::{ResetPasswordReason, UserView};

/// Formats users as a table, one user per line below a header.
pub(super) fn users(users: &[UserView]) -> String {
    lines(
        ["USERNAME", "FULL NAME", "TYPE", "LOCKED", "PASSWORD CHANGE"],
        users.iter().map(|user| {
            let [username, full_name, account_type] = identity(user);
            let locked = if user.locked { "yes" } else { "no" }.to_owned();
            [
                username,
                full_name,
                account_type,
                locked,
                password_change(user),
            ]
        }),
    )
}

/// Formats accounts and their numbers of sessions as a table, one account per line below a header.
pub(super) fn accounts(accounts: &[(UserView, usize)]) -> String {
    lines(
        ["USERNAME", "FULL NAME", "TYPE", "SESSIONS"],
        accounts.iter().map(|(user, sessions)| {
            let [username, full_name, account_type] = identity(user);
            [username, full_name, account_type, sessions.to_string()]
        }),
    )
}

/// Formats a table without borders.
pub(super) fn lines<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table.add_rows(rows);
    table
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}

/// Returns the username, full name and account type of a user, for a table.
pub(super) fn identity(user: &UserView) -> [String; 3] {
    [
        escape(&user.username).into_owned(),
        escape(&user.full_name).into_owned(),
        AccountType::from(user.account_type).name().to_owned(),
    ]
}

/// Returns whether and why a user must change the password, for a table.
pub(super) fn password_change(user: &UserView) -> String {
    use ResetPasswordReason as Reason;
    match user.reset_password_reason {
        Reason::None => "no",
        Reason::FirstTimeLogin => "at first login",
        Reason::AdminForced => "required",
        Reason::PasswordExpired => "expired",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_shows_misleading_characters() {
        let user = serde_json::from_value(json!({
            "username": "ada\u{1b}[2J",
            "fullName": "A\u{202e}da\u{9b}",
            "accountType": "user",
            "locked": false,
            "resetPassword": false,
            "resetPasswordReason": "NONE",
            "source": "local",
        }));
        let table = users(&[user.expect("a user as the service sends it")]);
        assert!(table.contains("ada\\u{1b}[2J"), "{table}");
        assert!(table.contains("A\\u{202e}da\\u{9b}"), "{table}");
    }
}
