-- The schema of the current version, as all migrations together make it. A database of this version
-- must have exactly this schema. Texts are compared, so no comment is inside a statement.
-- Moments are milliseconds on the server's timeline.

CREATE TABLE clock_mark (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    moment INTEGER NOT NULL,
    boot TEXT NOT NULL,
    uptime INTEGER NOT NULL,
    wall INTEGER NOT NULL
) STRICT;

-- Durations are in seconds.
CREATE TABLE setting (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    access_control INTEGER NOT NULL CHECK (access_control IN (0, 1)),
    max_login_attempts INTEGER CHECK (max_login_attempts >= 1),
    password_reset_time REAL CHECK (password_reset_time > 0),
    password_minimum_length INTEGER CHECK (password_minimum_length >= 1),
    password_special_characters INTEGER CHECK (password_special_characters IN (0, 1)),
    idle_logout REAL NOT NULL CHECK (idle_logout > 0),
    admin_for_software_updates INTEGER NOT NULL CHECK (admin_for_software_updates IN (0, 1)),
    admin_for_protocols INTEGER NOT NULL CHECK (admin_for_protocols IN (0, 1)),
    admin_for_signoff INTEGER NOT NULL CHECK (admin_for_signoff IN (0, 1))
) STRICT;

-- The lab's directory: its configuration as JSON.
CREATE TABLE directory (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    configuration TEXT NOT NULL
) STRICT;

-- The columns of the directory are NULL for a local user.
CREATE TABLE user (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    full_name TEXT NOT NULL,
    account_type TEXT NOT NULL CHECK (account_type IN ('admin', 'user', 'auditor', 'service')),
    password_hash TEXT NOT NULL,
    password_set_at INTEGER NOT NULL,
    reset_reason TEXT NOT NULL CHECK (reset_reason IN ('NONE', 'FIRST_TIME_LOGIN', 'ADMIN_FORCED')),
    locked_by_admin INTEGER NOT NULL CHECK (locked_by_admin IN (0, 1)),
    failed_logins INTEGER NOT NULL CHECK (failed_logins >= 0),
    last_failed_login INTEGER,
    temporary_password INTEGER NOT NULL DEFAULT 0 CHECK (temporary_password IN (0, 1)),
    directory_id TEXT CHECK (directory_id IS NULL
        OR account_type <> 'service' AND reset_reason = 'NONE' AND temporary_password = 0),
    directory_looked_up INTEGER CHECK ((directory_looked_up IS NULL) = (directory_id IS NULL)),
    directory_confirmed INTEGER CHECK (directory_confirmed IS NULL OR directory_id IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX user_directory ON user (directory_id) WHERE directory_id IS NOT NULL;

-- Who had the usernames that nobody has now; the key is the name in lower case.
CREATE TABLE former_username (
    username TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL,
    full_name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Scopes are a number: bit n is the scope that src/domain/scope.rs numbers n.
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    scopes INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX login_user ON session (user_id);

-- SHA-256 of the part that a session's refresh tokens have in common.
CREATE TABLE session_handle (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    session_id INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX session_handle_session ON session_handle (session_id);

-- Tokens by their SHA-256.
CREATE TABLE access_token (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    session_id INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    scopes INTEGER NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_login ON access_token (session_id);

CREATE TABLE refresh_token (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    session_id INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL,
    superseded INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_token_login ON refresh_token (session_id);

-- Each row's hash covers the row and the hash before (src/domain/audit.rs). `origin` is where the
-- event's request came from; NULL in rows that are older than this column.
CREATE TABLE audit_log (
    seq INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    action TEXT NOT NULL,
    account_name TEXT NOT NULL,
    legal_name TEXT NOT NULL,
    message TEXT NOT NULL,
    reason TEXT,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    origin TEXT CHECK (origin IN ('http', 'console', 'server'))
) STRICT;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- The log's end, the queue to the audit server (rows after `delivered`), and the chain's name.
CREATE TABLE audit_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_seq INTEGER NOT NULL,
    last_hash BLOB NOT NULL CHECK (length(last_hash) = 32),
    delivering INTEGER NOT NULL CHECK (delivering IN (0, 1)),
    delivered INTEGER NOT NULL,
    chain TEXT NOT NULL DEFAULT ''
) STRICT;

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
