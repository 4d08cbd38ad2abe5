//! Texts of the manual page that the command line's own help does not contain.

/// Entry of a list: the term and its description.
pub type Entry = (&'static str, &'static str);

/// Paragraphs of the section DESCRIPTION.
pub const DESCRIPTION: [&str; 4] = [
    "opentrons-auth-server is the authentication server of the Opentrons Flex. It keeps the \
     robot's user accounts, logs users in with OAuth 2, tells the robot's other servers who may do \
     what, and records every change in an audit log.",
    "Without a command, it runs the server in the foreground. The server listens on the sockets \
     passed by systemd (LISTEN_FDS); without any, on --uds; without --uds, on --host and --port.",
    "SIGTERM and SIGINT stop the server: it accepts no more connections, gives the requests in \
     progress up to 5 seconds, and exits. A second signal ends it at once.",
    "With a command, it administers the robot from its console, whether or not the server is \
     running. The HTTP API is described by the server itself, at /auth/redoc.",
];

/// Introduction of the section COMMANDS.
pub const OPTIONS_OF_COMMANDS: &str =
    "All commands except completions, man and remote-access-allowed also accept \
     --persistence-directory and --json, before or after the command. With --json, a failure is \
     printed as the error envelope of the HTTP API, with an id, on the last line of standard error. \
     Commands that are recorded in the audit log take --reason, with at most 2,000 characters; without \
     it, they ask for a reason if access control is on and standard input is a terminal.";

/// Entries of the section EXIT STATUS.
pub const EXIT_STATUS: &[Entry] = &[
    (
        "0",
        "The command was carried out, or the server was stopped by a signal.",
    ),
    (
        "1",
        "The command failed or was not confirmed, or the directory's test failed; or the server could not start, or its state \
         directory or database was removed while it was running. Standard error gives the reason.",
    ),
    ("2", "The command line or an environment variable is wrong."),
    (
        "3",
        "The user, session, directory or file that the command names does not exist.",
    ),
    (
        "4",
        "A rule forbids what the command would do. Nothing was changed.",
    ),
    (
        "5",
        "The user is not permitted to use the state directory or a file: run the command as root \
         (or as opentrons-auth-server).",
    ),
    (
        "130, 143",
        "The server was ended at once by a second SIGINT or SIGTERM.",
    ),
];

/// Exit status of a command that other programs run.
pub const EXIT_STATUS_OF_REMOTE_ACCESS: &str =
    "remote-access-allowed exits with 0 if remote access is allowed, with 1 if it is not, and with \
     2 if it is not because the answer of the server was invalid or the command line is wrong.";

/// Introduction of the section ENVIRONMENT.
pub const ENVIRONMENT_OF_OPTIONS: &str =
    "The following variables set options of the server; an option on the command line overrides \
     its variable. Commands use only OT_AUTH_SERVER_persistence_directory and, without a running \
     server, OT_AUTH_SERVER_directory_uds, except remote-access-allowed, which uses none.";

/// Entries of the section ENVIRONMENT, apart from the variables of options.
pub const ENVIRONMENT: &[Entry] = &[
    (
        "OT_AUTH_SERVER_boot_id",
        "Boot ID of the system, which the unit passes because the sandbox of the server hides \
         /proc/sys/kernel/random/boot_id.",
    ),
    (
        "RUST_LOG",
        "Log levels per module, which override --log-level, for example \
         RUST_LOG=auth_server::http=debug.",
    ),
    (
        "RUST_LOG_STYLE, NO_COLOR",
        "Whether log lines on a terminal are colored: RUST_LOG_STYLE is auto, always or never; any \
         value of NO_COLOR turns colors off.",
    ),
    (
        "LISTEN_FDS, LISTEN_PID",
        "Number of the sockets passed by systemd, and the process that they are for; see \
         sd_listen_fds(3).",
    ),
    (
        "NOTIFY_SOCKET",
        "Socket on which the server tells systemd that it is ready, its status, and that it is \
         stopping; see sd_notify(3).",
    ),
    (
        "WATCHDOG_USEC, WATCHDOG_PID",
        "Time within which systemd expects a sign of life, in microseconds, and the process that \
         it is expected from; see sd_watchdog_enabled(3).",
    ),
    (
        "JOURNAL_STREAM",
        "Device and inode number of the journal's socket. If standard error is that socket, log \
         lines begin with their priority instead of the time; see systemd.exec(5).",
    ),
    (
        "TMPDIR",
        "Directory for temporary files, /tmp by default: the state of a server without \
         --persistence-directory, and the copy of the state that import --dry-run reads.",
    ),
    (
        "SUDO_USER",
        "User who ran sudo, as whom the audit log records the changes of a command that runs as \
         root.",
    ),
];

/// Entries of the section FILES.
pub const FILES: &[Entry] = &[
    (
        "/var/lib/opentrons-auth-server/",
        "State directory on the robot. Only its owner, opentrons-auth-server, and root may enter \
         it. The following files are in it.",
    ),
    (
        "auth-server.sqlite",
        "Database: accounts, settings, sessions and the audit log. Its write-ahead log, \
         auth-server.sqlite-wal, and auth-server.sqlite-shm belong to it: never copy, move or \
         remove one without the others. To copy the database, use the command backup.",
    ),
    (
        "auth-server.sqlite.damaged-1",
        "Damaged database that the command restore has moved aside; further ones have higher \
         numbers.",
    ),
    (
        "lock",
        "Lock file. The process that uses the directory holds a lock on it; see flock(2).",
    ),
    (
        "control.sock",
        "Socket on which the running server answers the commands of the console.",
    ),
    (
        "reserve",
        "Disk space of 2 MiB that is kept for administrators, and released when the disk is full.",
    ),
    (
        "_TO_BE_DELETED_ON_REBOOT",
        "Marker that requests a factory reset: if it exists, the next start of the server removes \
         everything in the directory.",
    ),
    (
        "1_c3a91d4e2b70/auth_server.db, 1_b8c4e2f1a903/auth_server.db",
        "State of the Python server. The first start imports it; it is never changed.",
    ),
    (
        "/run/opentrons-auth-server.sock",
        "Socket of the HTTP API, which systemd creates.",
    ),
    (
        "/run/opentrons-audit-server.sock",
        "Socket of the audit server, to which audit events are sent.",
    ),
    (
        "/etc/opentrons-allow-remote-access",
        "Override file: if it exists, even empty, remote access (ssh and notebooks) is allowed while \
         access control is on. The next update of the robot removes it.",
    ),
    (
        "/etc/nginx/conf.d/opentrons-auth-server.conf, \
         /etc/nginx/server-conf.d/opentrons-auth-server.conf",
        "Configuration of nginx, through which clients reach the server.",
    ),
    (
        "/usr/lib/systemd/system/opentrons-auth-server.service, \
         /usr/lib/systemd/system/opentrons-auth-server.socket, \
         /usr/lib/systemd/system/opentrons-auth-server.target",
        "Units of the server. Set options in a drop-in: systemctl edit opentrons-auth-server.",
    ),
    (
        "/usr/lib/systemd/system/opentrons-remote-access-allowed.service",
        "Unit that checks whether remote access is allowed, before ssh and notebooks start.",
    ),
    (
        "/usr/bin/opentrons_check_remote_access_allowed",
        "Program that prints whether remote access is allowed.",
    ),
    (
        "/usr/bin/opentrons-disable-crs",
        "Program that removes all state and reboots the robot, for when nobody can log in.",
    ),
    (
        "/var/serial",
        "Serial number of the robot, part of the password of opentrons-disable-crs.",
    ),
];

/// Permissions of a backup, at the end of the section FILES.
pub const FILES_OF_BACKUPS: &str =
    "A file that the command backup creates can be read and written by its owner alone (mode 0600): \
     it contains the hashes of all passwords.";

/// Pages of the section SEE ALSO, with their sections.
pub const SEE_ALSO: &[(&str, &str)] = &[
    ("journalctl", "1"),
    ("systemctl", "1"),
    ("flock", "2"),
    ("sd_listen_fds", "3"),
    ("sd_notify", "3"),
    ("sd_watchdog_enabled", "3"),
    ("systemd.exec", "5"),
    ("systemd.socket", "5"),
    ("dropbear", "8"),
    ("nginx", "8"),
    ("sudo", "8"),
];

/// Introduction of the section ADMINISTRATION.
pub const ADMINISTRATION_INTRODUCTION: &str =
    "Run these commands on the robot as root, whether or not the server is running. Every change is \
     recorded in the audit log with the name of the user who made it. The console is the serial \
     line; ssh is available only while access control is off, or if the file \
     /etc/opentrons-allow-remote-access exists.";

/// Tasks of an administrator, in the order in which a test performs them: title, text, commands.
pub const ADMINISTRATION: &[(&str, &str, &[&str])] = &[
    (
        "Create the first administrator",
        "The command prints a temporary password, which must be changed at the first login.",
        &["opentrons-auth-server user add ada --full-name 'Ada Lovelace' --account-type admin"],
    ),
    (
        "Turn access control on or off",
        "Turning it on requires an administrator who can log in. It can be turned off only at the \
         console, never over the network.",
        &[
            "opentrons-auth-server access-control enable --yes",
            "opentrons-auth-server access-control status",
            "opentrons-auth-server access-control disable --yes",
        ],
    ),
    (
        "Recover when nobody can log in",
        "At the serial console, opentrons-disable-crs deletes all accounts, settings and audit \
         logs, and reboots the robot, with access control off. It asks for a password, which is \
         the robot's serial number followed by -0000.",
        &[],
    ),
    (
        "Reset a lost password, or unlock an account",
        "Resetting the password also unlocks the account. With --password, the command prompts for \
         the new password or reads it from standard input; without it, the command prints a \
         temporary password.",
        &[
            "opentrons-auth-server user list",
            "opentrons-auth-server user reset-password ada",
            "opentrons-auth-server user unlock ada",
        ],
    ),
    (
        "Change, lock and inspect accounts",
        "Locking ends the user's sessions. The creation and the last login come from the audit log. \
         With --json, show prints an object with username, fullName, accountType, locked, \
         resetPassword, resetPasswordReason, source, sessions, created and lastLogin.",
        &[
            "opentrons-auth-server user add bob --full-name 'Bob Babbage'",
            "opentrons-auth-server user set bob --account-type auditor",
            "opentrons-auth-server user lock bob",
            "opentrons-auth-server user show bob",
            "opentrons-auth-server user list --long",
        ],
    ),
    (
        "End sessions",
        "The number of a session is no secret. With --json, list prints objects with id, username, \
         renewed (by the login or a refresh) and expires.",
        &[
            "opentrons-auth-server session list",
            "opentrons-auth-server session end --user bob",
        ],
    ),
    (
        "Show and change settings",
        "The settings have the names and units of the HTTP API.",
        &[
            "opentrons-auth-server settings show",
            "opentrons-auth-server settings set idleLogout=600 maxNumberOfLoginAttempts=null",
            "opentrons-auth-server settings reset --yes",
        ],
    ),
    (
        "Use the accounts of the lab's directory",
        "The package opentrons-auth-directory must be installed. The fields have the names and meanings of \
         the HTTP API; a field with several values, such as servers, is given for each of them. The \
         first command tries the configuration before it takes it. At the serial line, pass - in place \
         of a file: with --ca -, paste the certificates and press Ctrl-D; with --bind-password, type the \
         password. The wrong passwords of a person that robots pass on (maxWrongPasswords each in 30 \
         minutes, and again after a restart) lock no account of the lab if the directory's threshold is \
         above their sum and its counter resets after at most 30 minutes. Removing the configuration ends \
         the sessions of the directory's users, who stay in the list of users.",
        &[
            "opentrons-auth-server directory set --ca ca.pem --bind-password-file password.txt \
             kind=activeDirectory servers=ldaps://dc1.lab.example base=DC=lab,DC=example \
             upnSuffix=lab.example bindName=robot@lab.example \
             userGroups=CN=laboratory,OU=groups,DC=lab,DC=example",
            "opentrons-auth-server directory show",
            "opentrons-auth-server directory test",
            "opentrons-auth-server directory remove --yes",
        ],
    ),
    (
        "Prepare for an inspection",
        "The first command verifies that no row of the audit log was removed or changed, and \
         prints the hash of the last row. The second command also compares the rows with their \
         lines in the journal, which detects a log that was rewritten as a whole, unless the \
         journal was rewritten too. The third command exports the log, the fourth a part of it: \
         what ada did in a month. A part is no chain and proves nothing alone, but verify --noted \
         compares each of its rows with the log.",
        &[
            "opentrons-auth-server audit verify",
            "opentrons-auth-server audit verify --journal",
            "opentrons-auth-server audit export --format csv > audit.csv",
            "opentrons-auth-server audit export --since 2026-11-01 --until 2026-11-30 --user ada",
        ],
    ),
    (
        "Resend events that the audit server refused",
        "Refused events are set aside so that they do not hold up later ones. The first command \
         shows how many there are; the second one sends them again.",
        &[
            "opentrons-auth-server audit status",
            "opentrons-auth-server audit resend",
        ],
    ),
    (
        "Back up and restore",
        "A backup contains the hashes of all passwords: keep it secret. Restoring ends all \
         sessions. The audit log is kept; if it is empty, it is restored too.",
        &[
            "opentrons-auth-server backup accounts.backup",
            "opentrons-auth-server restore accounts.backup --yes",
        ],
    ),
    (
        "Back up and restore over a serial line",
        "The first command prints the backup as text, which can be copied from the terminal. The \
         second one restores it from a file with that text; to paste the text instead, leave out \
         the name of the file, and press Ctrl-D after the text, at the beginning of a line.",
        &[
            "opentrons-auth-server backup - | base64 > accounts.base64",
            "base64 -d accounts.base64 | opentrons-auth-server restore - --yes",
        ],
    ),
];
