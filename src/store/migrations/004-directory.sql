-- The lab's directory: its configuration as JSON, and the users who come from it.

CREATE TABLE directory (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    configuration TEXT NOT NULL
) STRICT;

-- Identifier of the person in the directory; NULL for a local user. The directory manages a person's
-- password, so none is ever temporary or to be replaced here.
ALTER TABLE user ADD COLUMN directory_id TEXT CHECK (directory_id IS NULL
    OR account_type <> 'service' AND reset_reason = 'NONE' AND temporary_password = 0);
CREATE UNIQUE INDEX user_directory ON user (directory_id);
-- When the directory was last asked about the person, and answered.
ALTER TABLE user ADD COLUMN directory_looked_up INTEGER
    CHECK ((directory_looked_up IS NULL) = (directory_id IS NULL));
-- When it last confirmed the password whose hash is stored; NULL if the hash is of no password.
ALTER TABLE user ADD COLUMN directory_confirmed INTEGER
    CHECK (directory_confirmed IS NULL OR directory_id IS NOT NULL);
