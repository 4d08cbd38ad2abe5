-- Most users are local, and have no identifier in a directory. With them in the index, each change of
-- one would write a page of it.

DROP INDEX user_directory;
CREATE UNIQUE INDEX user_directory ON user (directory_id) WHERE directory_id IS NOT NULL;
