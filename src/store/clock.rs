//! Table `clock_mark`: the last stored mark of the server's timeline.

use rusqlite::{params, Connection, OptionalExtension};

use crate::domain::time::{Mark, Moment, Reading};

/// Loads the last stored mark; `None` in a new database.
///
/// # Errors
/// The SQLite error if the table cannot be read.
pub fn load(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
    connection
        .query_row(
            "SELECT moment, boot, uptime, wall FROM clock_mark",
            [],
            |row| {
                Ok(Mark {
                    moment: Moment(row.get(0)?),
                    reading: Reading {
                        boot: row.get(1)?,
                        uptime: row.get(2)?,
                        wall: row.get(3)?,
                    },
                })
            },
        )
        .optional()
}

/// Stores a mark in place of the previous one.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn save(connection: &mut Connection, mark: &Mark) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO clock_mark (id, moment, boot, uptime, wall) VALUES (1, ?, ?, ?, ?)",
        params![
            mark.moment.0,
            mark.reading.boot,
            mark.reading.uptime,
            mark.reading.wall
        ],
    )?;
    Ok(())
}
