//! Table `setting`: one row, or none while all is as on a new robot.

use rusqlite::{named_params, Connection, OptionalExtension, Transaction};

use crate::domain::change::Change;
use crate::domain::settings::Settings;
use crate::domain::state::State;

pub fn load(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let found = connection
        .query_row("SELECT * FROM setting", [], |row| {
            let settings = Settings {
                max_login_attempts: row.get("max_login_attempts")?,
                password_reset_time: row.get("password_reset_time")?,
                password_minimum_length: row.get("password_minimum_length")?,
                password_special_characters: row.get("password_special_characters")?,
                idle_logout: row.get("idle_logout")?,
                admin_for_software_updates: row.get("admin_for_software_updates")?,
                admin_for_protocols: row.get("admin_for_protocols")?,
                admin_for_signoff: row.get("admin_for_signoff")?,
            };
            Ok((settings, row.get("access_control")?))
        })
        .optional()?;
    if let Some((settings, access_control)) = found {
        state.apply(Change::PutSettings(settings));
        state.apply(Change::SetAccessControl(access_control));
    }
    Ok(())
}

pub fn put(transaction: &Transaction, settings: &Settings) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO setting VALUES (1, 0, :attempts, :reset, :length, :special, :idle,
                 :updates, :protocols, :signoff)
             ON CONFLICT (id) DO UPDATE SET
                 max_login_attempts = :attempts, password_reset_time = :reset,
                 password_minimum_length = :length, password_special_characters = :special,
                 idle_logout = :idle, admin_for_software_updates = :updates,
                 admin_for_protocols = :protocols, admin_for_signoff = :signoff",
        )?
        .execute(named_params! {
            ":attempts": settings.max_login_attempts,
            ":reset": settings.password_reset_time,
            ":length": settings.password_minimum_length,
            ":special": settings.password_special_characters,
            ":idle": settings.idle_logout,
            ":updates": settings.admin_for_software_updates,
            ":protocols": settings.admin_for_protocols,
            ":signoff": settings.admin_for_signoff,
        })?;
    Ok(())
}

pub fn set_access_control(transaction: &Transaction, on: bool) -> rusqlite::Result<()> {
    let changed = transaction.execute("UPDATE setting SET access_control = ?", [on])?;
    if changed == 0 {
        put(transaction, &Settings::default())?;
        transaction.execute("UPDATE setting SET access_control = ?", [on])?;
    }
    Ok(())
}
