-- Accounts, logins and the audit log. Moments are milliseconds on the server's timeline.

CREATE TABLE clock_mark (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    moment INTEGER NOT NULL,
    boot TEXT NOT NULL,
    uptime INTEGER NOT NULL,
    wall INTEGER NOT NULL
) STRICT;

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
    last_failed_login INTEGER
) STRICT;

-- Scopes are a number: bit n is the scope that src/domain/scope.rs numbers n.
CREATE TABLE login (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    scopes INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX login_user ON login (user_id);

-- Tokens by their SHA-256; the tokens themselves are nowhere.
CREATE TABLE access_token (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    login_id INTEGER NOT NULL REFERENCES login (id) ON DELETE CASCADE,
    scopes INTEGER NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_login ON access_token (login_id);

CREATE TABLE refresh_token (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    login_id INTEGER NOT NULL REFERENCES login (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL,
    superseded INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_token_login ON refresh_token (login_id);

-- The audit log: each row's hash covers the row and the hash before (src/domain/audit.rs).
CREATE TABLE audit_log (
    seq INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    action TEXT NOT NULL,
    account_name TEXT NOT NULL,
    legal_name TEXT NOT NULL,
    message TEXT NOT NULL,
    reason TEXT,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- Where the log ends, so that rows missing at its end are missed; and the queue to the audit
-- server, which is the rows after `delivered`.
CREATE TABLE audit_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_seq INTEGER NOT NULL,
    last_hash BLOB NOT NULL CHECK (length(last_hash) = 32),
    delivering INTEGER NOT NULL CHECK (delivering IN (0, 1)),
    delivered INTEGER NOT NULL
) STRICT;
INSERT INTO audit_state VALUES (1, 0, zeroblob(32), 0, 0);
