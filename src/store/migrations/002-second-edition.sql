-- The second edition of the contract.

-- A temporary password waits to be replaced by one of the user's own.
ALTER TABLE user ADD COLUMN temporary_password INTEGER NOT NULL DEFAULT 0
    CHECK (temporary_password IN (0, 1));
UPDATE user SET temporary_password = 1 WHERE reset_reason = 'FIRST_TIME_LOGIN';

-- Durations have other bounds, in seconds. max() and min() of NULL are NULL.
UPDATE setting SET
    idle_logout = min(max(idle_logout, 1.0), 604800.0),
    password_reset_time = max(password_reset_time, 86400.0);

-- A username belongs to a person for ever (21 CFR 11.100(a)): who had those that nobody has now.
-- The key is the name in lower case.
CREATE TABLE former_username (
    username TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL,
    full_name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Where an event's request came from; NULL in rows that are older than this column.
ALTER TABLE audit_log ADD COLUMN origin TEXT CHECK (origin IN ('http', 'console', 'server'));

-- Which chain of hashes this is: lines of the journal name it.
ALTER TABLE audit_state ADD COLUMN chain TEXT NOT NULL DEFAULT '';
UPDATE audit_state SET chain = lower(hex(randomblob(8)));

-- Rows that the audit server has refused for good, and whether they are to be sent again.
CREATE TABLE audit_set_aside (
    seq INTEGER PRIMARY KEY REFERENCES audit_log (seq),
    again INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1))
) STRICT;

-- The file of the Python server that accounts were taken over from, and its digest (SHA-256).
CREATE TABLE python_import (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    file TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT;

-- What a user has after logging in is a session.
ALTER TABLE login RENAME TO session;
ALTER TABLE access_token RENAME COLUMN login_id TO session_id;
ALTER TABLE refresh_token RENAME COLUMN login_id TO session_id;
