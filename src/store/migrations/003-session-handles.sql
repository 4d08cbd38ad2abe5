-- A refresh token names its session, so that used ones are recognized without being kept.

-- SHA-256 of the part that a session's refresh tokens have in common.
CREATE TABLE session_handle (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    session_id INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX session_handle_session ON session_handle (session_id);

-- The tokens that exist have no such part: the whole token names the session. Rows that break a rule
-- are left to the check that follows, which says what is wrong with them.
INSERT OR IGNORE INTO session_handle
    SELECT digest, session_id FROM refresh_token
    WHERE typeof(digest) = 'blob' AND length(digest) = 32
        AND session_id IN (SELECT id FROM session);
