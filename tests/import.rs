//! The Python server's state, read through the library: which databases are found, what is a fault
//! in them, how rows become users and settings, and what is recorded of the import.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use auth_server::directory::protocol::Configuration;
use auth_server::domain::audit::{hex, Origin};
use auth_server::domain::authority::Caller;
use auth_server::domain::change::Change;
use auth_server::domain::decision::Decision;
use auth_server::domain::directory::DirectoryId;
use auth_server::domain::passwords::PasswordHash;
use auth_server::domain::scopes::Scopes;
use auth_server::domain::settings::Settings;
use auth_server::domain::time::{Mark, Moment, Reading};
use auth_server::domain::tokens::{Session, SessionId};
use auth_server::domain::users::source::OfDirectory;
use auth_server::domain::users::{AccountType, ResetPasswordReason, User, UserId};
use auth_server::store::{
    clean_stage_directory, stage_directory, AuditLog, Import, Store, StoreError, Strictness,
    Summary, Survey, Verified, DATABASE,
};
use rusqlite::config::DbConfig;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Directory of the newest version of the Python server.
const NEWEST: &str = "1_c3a91d4e2b70";
/// Directory of the first version.
const FIRST: &str = "1_b8c4e2f1a903";
const FILE: &str = "auth_server.db";
/// 2024-02-29T12:30:45Z, in milliseconds.
const LEAP_DAY: i64 = 1_709_209_845_000;
/// Wall clock and moment of the import.
const WALL: i64 = 1_800_000_000_000;
const NOW: i64 = 900_000_000_000;
/// Hash at the lower bounds of what is accepted.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
const OTHER_HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$BBBBBBBBBBBBBBBBBBBBBA";

const SCHEMA: &str = "
    CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
    CREATE TABLE setting (\"key\" VARCHAR NOT NULL PRIMARY KEY, value VARCHAR);
    CREATE TABLE access_control_enabled (id INTEGER NOT NULL PRIMARY KEY, enabled BOOLEAN);
    CREATE TABLE failed_login
        (id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER, attempted_at DATETIME);
    CREATE INDEX ix_failed_login ON failed_login (user_id);
    CREATE TABLE user (
        id INTEGER NOT NULL PRIMARY KEY, username VARCHAR, hashed_password VARCHAR,
        full_name VARCHAR, account_type VARCHAR, reset_password BOOLEAN,
        password_set_at DATETIME, deactivated BOOLEAN);";
const SECOND: &str = "
    ALTER TABLE user ADD COLUMN temporary_hashed_password VARCHAR;
    INSERT INTO alembic_version VALUES ('c3a91d4e2b70');";

/// Writes a database of the newest version into `root`, and returns its path.
fn python(root: &Path, sql: &str) -> PathBuf {
    let file = root.join(NEWEST).join(FILE);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    run(&file, &format!("{SCHEMA}{SECOND}{sql}"));
    file
}

/// Writes a database of the first version into `root`.
fn python_first(root: &Path, sql: &str) -> PathBuf {
    let file = root.join(FIRST).join(FILE);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let version = "INSERT INTO alembic_version VALUES ('b8c4e2f1a903');";
    run(&file, &format!("{SCHEMA}{version}{sql}"));
    file
}

fn run(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

/// Returns the statement that inserts a user whose columns are as usual but for those given.
fn user_row(id: &str, changed: &[(&str, &str)]) -> String {
    let mut columns = vec![
        ("username", format!("'user{}'", id.trim_matches('\''))),
        ("hashed_password", format!("'{HASH}'")),
        ("full_name", "'A User'".to_owned()),
        ("account_type", "'user'".to_owned()),
        ("reset_password", "0".to_owned()),
        ("password_set_at", "'2024-02-29 12:30:45'".to_owned()),
        ("deactivated", "0".to_owned()),
    ];
    for (name, value) in changed {
        columns.retain(|(column, _)| column != name);
        columns.push((name, (*value).to_owned()));
    }
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = columns.iter().map(|(_, value)| &**value).collect();
    format!(
        "INSERT INTO user (id, {}) VALUES ({id}, {});",
        names.join(", "),
        values.join(", ")
    )
}

fn mark() -> Mark {
    Mark {
        moment: Moment(NOW),
        reading: Reading {
            boot: "boot".into(),
            uptime: 5,
            wall: WALL,
        },
    }
}

fn caller() -> Caller {
    Caller::anonymous(Origin::Server, None)
}

/// Surveys and reads the Python server's state in `root`.
fn read(root: &Path) -> Import {
    let stage = TempDir::new().unwrap();
    let survey = Survey::of(root, stage.path()).expect("there is something");
    Import::read(&survey, mark())
}

/// Returns the faults of the state in `root`, without the path that they begin with.
fn faults(root: &Path) -> Vec<String> {
    let start = format!("{}/", root.display());
    let lines = read(root).summary().faults;
    let lines = lines.into_iter();
    lines
        .map(|line| line.strip_prefix(&start).unwrap_or(&line).to_owned())
        .collect()
}

/// Returns the faults of a database of the newest version with this content.
fn faults_of(sql: &str) -> Vec<String> {
    let root = TempDir::new().unwrap();
    python(root.path(), sql);
    let start = format!("{NEWEST}/{FILE}: ");
    let found = faults(root.path()).into_iter();
    found
        .map(|fault| fault.strip_prefix(&start).unwrap_or(&fault).to_owned())
        .collect()
}

/// What an import made of the state in `root`.
struct Imported {
    summary: Summary,
    store: Store,
    directory: TempDir,
}

impl Imported {
    fn of(root: &Path) -> Self {
        let directory = TempDir::new().unwrap();
        let import = read(root);
        let summary = import.make_database(directory.path(), &caller(), |_, _| {});
        Self {
            summary: summary.unwrap(),
            store: Store::open(directory.path(), |_, _| {}).unwrap(),
            directory,
        }
    }

    fn from(sql: &str) -> Self {
        let root = TempDir::new().unwrap();
        python(root.path(), sql);
        Self::of(root.path())
    }

    fn user(&self, id: i64) -> User {
        self.store
            .read(|state, _| state.user(UserId(id)).cloned())
            .unwrap()
    }

    fn settings(&self) -> Settings {
        self.store.read(|state, _| state.settings().clone())
    }

    fn message(&self) -> String {
        message(self.directory.path())
    }
}

/// Returns the message of the last event in the audit log.
fn message(directory: &Path) -> String {
    let mut last = String::new();
    let log = AuditLog::open(directory).unwrap();
    let done = log.each(|row| {
        last = row.row.event.message;
        Ok::<_, Infallible>(())
    });
    done.unwrap().unwrap();
    last
}

thread_local! {
    /// Warnings logged by this thread.
    static WARNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        if record.level() <= log::Level::Warn {
            WARNED.with(|warned| warned.borrow_mut().push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Returns the warnings that `act` logs on this thread.
fn warnings(act: impl FnOnce()) -> Vec<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    WARNED.with(|warned| warned.borrow_mut().clear());
    act();
    WARNED.with(RefCell::take)
}

// Rows.

#[test]
fn users_are_imported_with_everything_that_is_known_of_them() {
    let imported = Imported::from(&format!(
        "{}{}{}{}
         INSERT INTO failed_login VALUES
             (1, 2, '2024-02-29 12:30:45'), (2, 2, '2024-02-29 12:31:45'),
             (3, 2, '2024-02-29 12:30:46'), (4, 99, '2024-02-29 12:30:45'),
             (5, 98, '2024-02-29 12:30:45');
         INSERT INTO setting VALUES ('idleLogout', '60'), ('maxNumberOfLoginAttempts', '7');
         INSERT INTO access_control_enabled VALUES (1, 1);",
        user_row("1", &[("account_type", "'admin'"), ("username", "'root'")]),
        user_row(
            "2",
            &[("full_name", "'Ada Lovelace'"), ("deactivated", "1")]
        ),
        user_row("3", &[("account_type", "'auditor'")]),
        user_row("4", &[("account_type", "'service'")]),
    ));
    let at = |wall: i64| Moment(NOW - (WALL - wall));
    let expected = User {
        id: UserId(2),
        username: "user2".into(),
        full_name: "Ada Lovelace".into(),
        account_type: AccountType::User,
        password: PasswordHash::from_phc(HASH.into()),
        password_set_at: at(LEAP_DAY),
        temporary_password: false,
        stored_reason: ResetPasswordReason::None,
        locked_by_admin: true,
        failed_logins: 3,
        last_failed_login: Some(at(LEAP_DAY + 60_000)),
        directory: None,
    };
    assert_eq!(imported.user(2), expected);
    let root = imported.user(1);
    assert_eq!((root.failed_logins, root.last_failed_login), (0, None));
    assert!(!root.locked_by_admin);
    for (id, account_type) in (1..).zip(AccountType::ALL) {
        assert_eq!(imported.user(id).account_type, account_type);
    }
    assert_eq!(imported.settings().idle_logout, Duration::from_secs(60));
    assert_eq!(imported.settings().max_login_attempts, Some(7));
    assert!(imported.store.read(|state, _| state.access_control()));
    let summary = &imported.summary;
    assert_eq!(
        summary.to_string(),
        "users: 4 (administrators: 1), failed logins: 3, settings: 2, access control: on"
    );
    let orphaned = "failed logins of users who do not exist were skipped: 2";
    assert_eq!(summary.notes, [orphaned]);
    assert!(summary.faults.is_empty());
    // The event names the file, its digest and what was adapted.
    let said = imported.message();
    assert!(
        said.starts_with(&format!(
            "Imported the Python server's state ({summary}) from {:?} (SHA-256 ",
            summary.file
        )),
        "{said}"
    );
    assert!(said.ends_with(&format!("). {orphaned}.")), "{said}");
    let log = AuditLog::open(imported.directory.path()).unwrap();
    assert!(matches!(log.verify(), Ok(Verified::Whole { rows: 1, .. })));
    // The Python server delivered its events, and so this one waits to be.
    assert_eq!(log.delivery_status().unwrap().waiting, 1);
}

/// The hash that counts, why a new password is required, and whether the password is temporary.
#[test]
fn password_and_reason_follow_from_both_hashes_and_the_flag() {
    use ResetPasswordReason::{AdminForced, FirstTimeLogin, None};
    let (own, temporary) = (format!("'{HASH}'"), format!("'{OTHER_HASH}'"));
    let rows = [
        (&*own, "NULL", "0", HASH, None, false),
        (&*own, "NULL", "1", HASH, AdminForced, false),
        (&*own, &*temporary, "0", OTHER_HASH, AdminForced, true),
        ("NULL", &*temporary, "1", OTHER_HASH, FirstTimeLogin, true),
        ("NULL", &*temporary, "0", OTHER_HASH, FirstTimeLogin, true),
    ];
    for (own, temporary, reset, hash, reason, is_temporary) in rows {
        let row = user_row(
            "1",
            &[
                ("hashed_password", own),
                ("temporary_hashed_password", temporary),
                ("reset_password", reset),
            ],
        );
        let user = Imported::from(&row).user(1);
        assert_eq!(user.password.as_phc(), hash, "{row}");
        assert_eq!(user.stored_reason, reason, "{row}");
        assert_eq!(user.temporary_password, is_temporary, "{row}");
    }
    // The first version had no temporary passwords.
    let root = TempDir::new().unwrap();
    python_first(root.path(), &user_row("1", &[("reset_password", "1")]));
    let user = Imported::of(root.path()).user(1);
    assert_eq!(
        (user.stored_reason, user.temporary_password),
        (AdminForced, false)
    );
}

#[test]
fn user_with_a_fault_is_named_by_id_and_column() {
    let long = format!("'{}'", "é".repeat(1025));
    let rows = [
        ("username", "NULL", "is not text"),
        ("username", "x'41'", "is not text"),
        ("username", "''", "is empty"),
        ("username", &*long, "is too long"),
        ("username", "char(97, 10)", "contains a control character"),
        ("username", "'user1'", "also belongs to another user"),
        ("username", "CAST(x'ff' AS TEXT)", "is not text"),
        ("full_name", "''", "is empty"),
        ("full_name", "x'41'", "is not text"),
        (
            "account_type",
            "'king'",
            "is not one of admin, user, auditor, service",
        ),
        (
            "account_type",
            "NULL",
            "is not one of admin, user, auditor, service",
        ),
        ("hashed_password", "NULL", "is missing"),
        ("temporary_hashed_password", "'x'", "is not a PHC string"),
        ("reset_password", "2", "is neither 0 nor 1"),
        ("reset_password", "NULL", "is neither 0 nor 1"),
        ("deactivated", "'no'", "is neither 0 nor 1"),
        ("password_set_at", "NULL", "is not a date and time"),
        (
            "password_set_at",
            "'today'",
            "is not a date and time of the form YYYY-MM-DD HH:MM:SS",
        ),
    ];
    for (column, value, what) in rows {
        let sql = user_row("1", &[]) + &user_row("2", &[(column, value)]);
        let expected = format!("table user, id 2, column {column}: {what}");
        assert_eq!(faults_of(&sql), [expected], "{column} = {value}");
    }
    let longest = format!("'{}'", "é".repeat(1024));
    let names = [("username", &*longest), ("full_name", &*longest)];
    assert_eq!(faults_of(&user_row("1", &names)), [""; 0]);
}

#[test]
fn ids_are_those_that_json_can_carry() {
    for id in ["1", "9007199254740991"] {
        assert_eq!(faults_of(&user_row(id, &[])), [""; 0], "{id}");
    }
    for id in ["0", "-1", "9007199254740992"] {
        let expected = format!("table user, id {id}, column id: is not a valid id");
        assert_eq!(faults_of(&user_row(id, &[])), [expected]);
    }
}

#[test]
fn hash_is_one_that_can_be_verified_within_the_limits() {
    let hash = |kind: &str, params: &str, salt: usize, output: usize| {
        // A base64 digit for each six bits, without padding.
        let (salt, output) = ((salt * 4).div_ceil(3), (output * 4).div_ceil(3));
        let (salt, output) = ("A".repeat(salt), "A".repeat(output));
        format!("${kind}${params}${salt}${output}")
    };
    let with = |params: &str| hash("argon2id$v=19", params, 8, 16);
    let good = [
        with("m=8,t=1,p=1"),
        with("m=16,t=1,p=2"),
        with("m=262144,t=16,p=16"),
        hash("argon2i$v=19", "m=8,t=1,p=1", 48, 64),
        hash("argon2d$v=16", "m=8,t=1,p=1", 8, 16),
    ];
    for good in good {
        let row = user_row("1", &[("hashed_password", &format!("'{good}'"))]);
        assert_eq!(faults_of(&row), [""; 0], "{good}");
    }
    const VERSION: &str = "does not state a known version of Argon2";
    const COSTS: &str = "does not state its memory, passes and lanes";
    const TOO_MUCH: &str = "requires more than m=262144 (256 MiB), t=16, p=16";
    const TOO_LITTLE: &str = "requires less than the minimum of Argon2";
    let bad = [
        ("x".into(), "is not a PHC string"),
        (String::new(), "is not a PHC string"),
        (
            hash("scrypt", "ln=1,r=1,p=1", 8, 16),
            "is not an Argon2 hash",
        ),
        (hash("argon2id", "m=8,t=1,p=1", 8, 16), VERSION),
        (hash("argon2id$v=18", "m=8,t=1,p=1", 8, 16), VERSION),
        (with("m=8,t=1"), COSTS),
        (with("m=8,p=1"), COSTS),
        (with("t=1,p=1"), COSTS),
        (with("m=8,t=1,p=1,data=AAAA"), "has unknown parameters"),
        (with("m=262145,t=1,p=1"), TOO_MUCH),
        (with("m=8,t=17,p=1"), TOO_MUCH),
        (with("m=1024,t=1,p=17"), TOO_MUCH),
        (with("m=7,t=1,p=1"), TOO_LITTLE),
        (with("m=15,t=1,p=2"), TOO_LITTLE),
        (with("m=8,t=0,p=1"), TOO_LITTLE),
        (with("m=8,t=1,p=0"), TOO_LITTLE),
        (
            hash("argon2id$v=19", "m=8,t=1,p=1", 7, 16),
            "does not have a salt of 8 to 48 bytes",
        ),
        (
            hash("argon2id$v=19", "m=8,t=1,p=1", 8, 15),
            "does not have a hash of 16 to 64 bytes",
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA".into(),
            "does not have a hash of 16 to 64 bytes",
        ),
        (
            "$argon2id$v=19$m=8,t=1,p=1".into(),
            "does not have a salt of 8 to 48 bytes",
        ),
    ];
    for (bad, what) in bad {
        let row = user_row("1", &[("hashed_password", &format!("'{bad}'"))]);
        let expected = format!("table user, id 1, column hashed_password: {what}");
        assert_eq!(faults_of(&row), [expected], "{bad}");
    }
    let row = user_row("1", &[("hashed_password", "x'41'")]);
    let expected = "table user, id 1, column hashed_password: is not text";
    assert_eq!(faults_of(&row), [expected]);
}

/// Forms of date and time, and how far after [`LEAP_DAY`] each is, in milliseconds.
#[test]
fn dates_and_times_of_all_forms_are_understood() {
    let hour = 3_600_000;
    let forms = [
        ("2024-02-29 12:30:45", 0),
        ("2024-02-29T12:30:45", 0),
        ("2024-02-29 12:30:45Z", 0),
        ("2024-02-29 12:30:45.5", 500),
        ("2024-02-29 12:30:45.012", 12),
        ("2024-02-29 12:30:45.123456", 123),
        ("2024-02-29 12:30:45.123456Z", 123),
        ("2024-02-29 12:30:45+00:00", 0),
        ("2024-02-29 12:30:45+02:30", -2 * hour - hour / 2),
        ("2024-02-29 12:30:45.250-02:30", 2 * hour + hour / 2 + 250),
        ("2024-02-29 12:30:45+23:59", -24 * hour + 60_000),
        ("1969-12-31 23:59:59", -LEAP_DAY - 1_000),
        // In the future, which becomes the present.
        ("2100-01-01 00:00:00", WALL - LEAP_DAY),
    ];
    for (text, after) in forms {
        let row = user_row("1", &[("password_set_at", &format!("'{text}'"))]);
        let found = Imported::from(&row).user(1).password_set_at;
        assert_eq!(found, Moment(NOW - (WALL - LEAP_DAY) + after), "{text}");
    }
    let wrong = [
        "",
        "2024-02-29",
        "2024-02-29 12:30",
        "2023-02-29 12:30:45",
        "2024-13-29 12:30:45",
        "2024-00-29 12:30:45",
        "2024-02-29 24:30:45",
        "2024-02-29 12:60:45",
        "2024-02-29 12:30:60",
        "2024-02-29_12:30:45",
        "2024/02-29 12:30:45",
        "2024-02/29 12:30:45",
        "2024-02-29 12-30:45",
        "2024-02-29 12:30-45",
        "+024-02-29 12:30:45",
        "2024-+2-29 12:30:45",
        "2024-02-29 +2:30:45",
        "2024-02-29 12:30:45.",
        "2024-02-29 12:30:45.1234567",
        "2024-02-29 12:30:45.5x",
        "2024-02-29 12:30:45z",
        "2024-02-29 12:30:45+24:00",
        "2024-02-29 12:30:45+02:60",
        "2024-02-29 12:30:45+0230",
        "2024-02-29 12:30:45+02-30",
        "2024-02-29 12:30:45 02:30",
        "2024-02-29 12:30:45++2:30",
        "２024-02-29 12:30:45",
    ];
    for text in wrong {
        let row = user_row("1", &[("password_set_at", &format!("'{text}'"))]);
        assert_eq!(faults_of(&row).len(), 1, "{text}");
    }
}

#[test]
fn failed_login_with_a_fault_is_named_by_id_and_column() {
    let rows = [
        ("'x', '2024-02-29 12:30:45'", "user_id: is not an integer"),
        (
            "1, 'x'",
            "attempted_at: is not a date and time of the form YYYY-MM-DD HH:MM:SS",
        ),
        ("1, NULL", "attempted_at: is not a date and time"),
    ];
    for (values, what) in rows {
        let sql = format!("INSERT INTO failed_login VALUES (8, {values});");
        let expected = format!("table failed_login, id 8, column {what}");
        assert_eq!(faults_of(&sql), [expected]);
    }
}

/// Settings in the Python server's database, and what becomes of each: the value and the note.
#[test]
fn settings_become_the_nearest_valid_value() {
    let rows = [
        ("maxNumberOfLoginAttempts", "3", "3", ""),
        ("maxNumberOfLoginAttempts", "3.0", "3", ""),
        ("maxNumberOfLoginAttempts", "null", "null", ""),
        ("maxNumberOfLoginAttempts", "1", "1", ""),
        ("maxNumberOfLoginAttempts", "1000001", "1000000", "1000001"),
        ("maxNumberOfLoginAttempts", "1e300", "1000000", "4294967295"),
        ("passwordComplexityMinimumLength", "2000", "1024", "2000"),
        ("passwordResetTime", "null", "null", ""),
        ("passwordResetTime", "60.5", "86400.0", "60.5"),
        ("idleLogout", "0.5", "1.0", "0.5"),
        ("idleLogout", "90", "90.0", ""),
        ("idleLogout", "604801", "604800.0", "604801.0"),
        ("passwordComplexitySpecialCharacters", "true", "true", ""),
        ("passwordComplexitySpecialCharacters", "null", "null", ""),
        ("requireAdminCredsForSignoffProtocol", "true", "true", ""),
        (
            "requireAdminCredsWhenSendingProtocolToRobot",
            "false",
            "false",
            "",
        ),
    ];
    for (key, json, value, from) in rows {
        let imported = Imported::from(&format!("INSERT INTO setting VALUES ('{key}', '{json}');"));
        let setting = auth_server::domain::settings::Setting::named(key).unwrap();
        let found = setting.value(&imported.settings());
        assert_eq!(found.to_string(), value, "{key} = {json}");
        assert_eq!(imported.summary.settings, 1);
        let note = format!("{key} was changed from {from} to {value}, the nearest valid value");
        let expected = if from.is_empty() { vec![] } else { vec![note] };
        assert_eq!(imported.summary.notes, expected, "{key} = {json}");
    }
    let huge = Imported::from("INSERT INTO setting VALUES ('idleLogout', '1e300');");
    assert_eq!(huge.settings().idle_logout, Duration::from_secs(604_800));
}

#[test]
fn setting_with_a_fault_is_named_by_its_key() {
    const INTEGER: &str = "is not an integer of at least 1";
    const SECONDS: &str = "is not a number above 0";
    const BOOLEAN: &str = "is neither true nor false";
    let rows = [
        ("maxNumberOfLoginAttempts", "'0'", INTEGER),
        ("maxNumberOfLoginAttempts", "'-5'", INTEGER),
        ("maxNumberOfLoginAttempts", "'1.5'", INTEGER),
        ("maxNumberOfLoginAttempts", "'\"5\"'", INTEGER),
        ("idleLogout", "'0'", SECONDS),
        ("idleLogout", "'-1'", SECONDS),
        ("idleLogout", "'null'", SECONDS),
        ("requireAdminCredsForSignoffProtocol", "'null'", BOOLEAN),
        ("requireAdminCredsForSignoffProtocol", "'1'", BOOLEAN),
        ("idleLogout", "'{'", "is not JSON"),
        ("idleLogout", "NULL", "is not text"),
    ];
    for (key, value, what) in rows {
        let sql = format!("INSERT INTO setting VALUES ('{key}', {value});");
        let expected = format!("table setting, key {key}, column value: {what}");
        assert_eq!(faults_of(&sql), [expected], "{value}");
    }
    let unknown = faults_of("INSERT INTO setting VALUES ('secret', '1');");
    assert_eq!(unknown, ["table setting: contains an unknown key"]);
    let unknown = faults_of("INSERT INTO setting VALUES (x'41', '1');");
    assert_eq!(unknown, ["table setting, column key: is not text"]);
}

/// Access control after an import, by the row in the database. If its row is faulty, or anything
/// else casts doubt on it, access control is on.
#[test]
fn access_control_is_off_only_if_it_certainly_was() {
    let bad_user = user_row("1", &[("username", "''")]);
    let bad_schema = "CREATE TABLE odd (x);";
    let rows = [
        ("", "", false, 0),
        ("(1, 0)", "", false, 0),
        ("(1, NULL)", "", false, 0),
        ("(1, 1)", "", true, 0),
        ("(1, 2)", "", true, 1),
        ("(2, 0)", "", true, 1),
        ("(1, 0), (2, 0)", "", true, 1),
        // A fault of another row says nothing against the row, but against its absence.
        ("(1, 0)", &*bad_user, false, 1),
        ("", &*bad_user, true, 1),
        // A fault of the schema casts doubt on everything.
        ("(1, 0)", bad_schema, true, 1),
        ("", bad_schema, true, 1),
    ];
    for (row, more, on, faults) in rows {
        let insert = match row {
            "" => String::new(),
            row => format!("INSERT INTO access_control_enabled VALUES {row};"),
        };
        let root = TempDir::new().unwrap();
        python(root.path(), &(insert + more));
        let imported = Imported::of(root.path());
        assert_eq!(imported.summary.access_control, on, "{row} {more}");
        assert_eq!(imported.summary.faults.len(), faults, "{row} {more}");
        assert_eq!(imported.store.read(|state, _| state.access_control()), on);
        let word = if on {
            "access control: on"
        } else {
            "access control: off"
        };
        assert!(imported.summary.to_string().ends_with(word));
    }
    // A fault beside the database casts doubt on it, too.
    let root = TempDir::new().unwrap();
    python(
        root.path(),
        "INSERT INTO access_control_enabled VALUES (1, 0);",
    );
    fs::write(root.path().join(FILE), "").unwrap();
    assert!(read(root.path()).summary().access_control);
}

// Schema.

#[test]
fn database_with_another_schema_is_not_trusted() {
    let rows = [
        (
            "CREATE TABLE odd (x);",
            "has a table \"odd\" that no known version has",
        ),
        (
            "CREATE VIEW odd AS SELECT 1;",
            "has a view \"odd\" that no known version has",
        ),
        (
            "CREATE TRIGGER odd AFTER INSERT ON user BEGIN SELECT 1; END;",
            "has a trigger \"odd\" that no known version has",
        ),
        (
            "ALTER TABLE user ADD COLUMN odd;",
            "table user: has columns that no known version has",
        ),
        (
            "ALTER TABLE failed_login ADD COLUMN odd AS (1);",
            "table failed_login: has columns that no known version has",
        ),
        (
            "DROP TABLE setting; CREATE TABLE setting (key VARCHAR PRIMARY KEY, value BLOB);",
            "table setting: has no column value of the expected type",
        ),
        (
            "DROP TABLE setting; CREATE TABLE setting (key VARCHAR, value VARCHAR);",
            "table setting: has no column key of the expected type",
        ),
        (
            "DROP TABLE setting;
             CREATE TABLE setting (key VARCHAR PRIMARY KEY, value VARCHAR) WITHOUT ROWID;",
            "does not have an ordinary table setting",
        ),
        (
            "DROP TABLE setting;",
            "does not have an ordinary table setting",
        ),
        (
            "CREATE INDEX part ON user (id) WHERE id > 1;",
            "table user: has a partial index or an index on an expression",
        ),
        (
            "CREATE INDEX expr ON user (id + 1);",
            "table user: has a partial index or an index on an expression",
        ),
        (
            "UPDATE alembic_version SET version_num = 'b8c4e2f1a903';",
            "table alembic_version: does not contain the directory's version, c3a91d4e2b70",
        ),
        (
            "DELETE FROM alembic_version;",
            "table alembic_version: does not contain the directory's version, c3a91d4e2b70",
        ),
        (
            "INSERT INTO alembic_version VALUES ('x');",
            "table alembic_version: does not contain the directory's version, c3a91d4e2b70",
        ),
    ];
    for (sql, what) in rows {
        assert_eq!(faults_of(sql), [what], "{sql}");
    }
    // What SQLite and lower-case types add is no fault.
    let sound = "CREATE INDEX more ON user (username); ANALYZE; DROP TABLE setting;
        CREATE TABLE setting (key varchar PRIMARY KEY, value varchar);";
    assert_eq!(faults_of(sound), [""; 0]);
}

#[test]
fn tables_that_are_sound_are_read_beside_one_that_is_not() {
    let root = TempDir::new().unwrap();
    let sql = user_row("1", &[])
        + "INSERT INTO setting VALUES ('idleLogout', '60');
           INSERT INTO access_control_enabled VALUES (1, 1);
           INSERT INTO failed_login VALUES (1, 1, '2024-02-29 12:30:45');";
    for (table, users, settings, failed) in [
        ("alembic_version", 1, 1, 1),
        ("setting", 1, 0, 1),
        ("access_control_enabled", 1, 1, 1),
        ("failed_login", 1, 1, 0),
        ("user", 0, 1, 0),
    ] {
        let file = python(
            root.path(),
            &format!("{sql} ALTER TABLE {table} ADD COLUMN odd;"),
        );
        let summary = read(root.path()).summary();
        let found = (summary.users, summary.settings, summary.failed_logins);
        assert_eq!(found, (users, settings, failed), "{table}");
        assert_eq!(summary.faults.len(), 1, "{table}: {:?}", summary.faults);
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn damaged_database_is_not_imported() {
    let root = TempDir::new().unwrap();
    let file = python(root.path(), &user_row("1", &[]));
    let page: usize = {
        let connection = Connection::open(&file).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'ix_failed_login'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let mut bytes = fs::read(&file).unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0xee);
    fs::write(&file, bytes).unwrap();
    let found = faults(root.path());
    assert_eq!(found.len(), 1);
    assert!(found[0].contains(": is damaged: "), "{found:?}");
    fs::write(&file, "no database at all".repeat(100)).unwrap();
    let summary = read(root.path()).summary();
    assert_eq!((summary.users, summary.faults.len()), (0, 1));
    assert!(summary.access_control);
}

// Files.

#[test]
fn directory_without_state_of_the_python_server_has_nothing_to_import() {
    let root = TempDir::new().unwrap();
    let stage = TempDir::new().unwrap();
    assert!(Survey::of(root.path(), stage.path()).is_none());
    for directory in ["lost+found", NEWEST, FIRST, "3_0123456789ab"] {
        fs::create_dir(root.path().join(directory)).unwrap();
    }
    fs::create_dir(root.path().join("temp-x")).unwrap();
    fs::write(root.path().join("temp-x").join(FILE), "").unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    assert!(Survey::of(root.path(), stage.path()).is_none());
}

/// Paths below the directory, and the fault that each is.
#[test]
fn state_in_an_unexpected_place_is_a_fault() {
    let unknown = "contains state of an unknown version of the Python server";
    let missing = "contains auth_server.db-wal, but auth_server.db is missing";
    let rows = [
        (
            "auth_server.db",
            "auth_server.db: is not where any known version of the Python server keeps it".into(),
        ),
        (
            "2_0123456789ab/auth_server.db",
            format!("2_0123456789ab: {unknown}"),
        ),
        ("old/auth_server.db", format!("old: {unknown}")),
        (
            "1_c3a91d4e2b70/auth_server.db-wal",
            format!("1_c3a91d4e2b70: {missing}"),
        ),
        (
            "22_0123456789ab/auth_server.db-wal",
            format!("22_0123456789ab: {missing}"),
        ),
        (
            "1_c3a91d4e2b70/auth_server.db-journal",
            format!("1_c3a91d4e2b70: {}", missing.replace("-wal", "-journal")),
        ),
        (
            "1_c3a91d4e2b70",
            "1_c3a91d4e2b70: is not a directory".into(),
        ),
        // Not named as a version, and so nothing of the Python server's.
        ("_0123456789ab/auth_server.db-wal", String::new()),
        ("x_0123456789ab/auth_server.db-wal", String::new()),
        ("1_0123456789a/auth_server.db-wal", String::new()),
        ("1_0123456789abc/auth_server.db-wal", String::new()),
        ("1_0123456789ag/auth_server.db-wal", String::new()),
        ("10123456789ab/auth_server.db-wal", String::new()),
    ];
    for (path, fault) in rows {
        let root = TempDir::new().unwrap();
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let stage = TempDir::new().unwrap();
        match Survey::of(root.path(), stage.path()) {
            None => assert_eq!(fault, "", "{path}"),
            Some(survey) => {
                assert_eq!(faults(root.path()), [fault], "{path}");
                assert!(survey.staged.is_none());
                let summary = Import::read(&survey, mark()).summary();
                assert_eq!(summary.file, root.path());
                assert!(summary.access_control);
            }
        }
    }
    let root = TempDir::new().unwrap();
    for number in 0..25 {
        let directory = root.path().join(format!("old{number}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(FILE), "").unwrap();
    }
    assert_eq!(faults(root.path()).len(), 20);
    let missing = root.path().join("missing");
    assert_eq!(faults(&missing).len(), 1);
}

#[test]
fn database_that_is_no_regular_file_is_not_read() {
    let elsewhere = TempDir::new().unwrap();
    let target = python(elsewhere.path(), "");
    let root = TempDir::new().unwrap();
    let directory = root.path().join(NEWEST);
    fs::create_dir(&directory).unwrap();
    let file = directory.join(FILE);
    symlink(&target, &file).unwrap();
    let start = format!("{NEWEST}/{FILE}");
    assert_eq!(
        faults(root.path()),
        [format!("{start}: is a symbolic link")]
    );
    fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(
        faults(root.path()),
        [format!("{start}: is not a regular file")]
    );
    fs::remove_file(&file).unwrap();
    // A sparse file, which takes no space.
    fs::File::create(&file)
        .unwrap()
        .set_len((256 << 20) + 1)
        .unwrap();
    assert_eq!(
        faults(root.path()),
        [format!("{start}: is larger than 256 MiB")]
    );
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(faults(root.path()).len(), 1);
    fs::remove_dir_all(&directory).unwrap();
    symlink(target.parent().unwrap(), &directory).unwrap();
    assert_eq!(
        faults(root.path()),
        [format!("{NEWEST}: is not a directory")]
    );
}

#[test]
fn newest_of_two_databases_is_imported() {
    let root = TempDir::new().unwrap();
    python_first(root.path(), &user_row("1", &[]));
    let first = Imported::of(root.path());
    assert_eq!(first.summary.file, root.path().join(FIRST).join(FILE));
    assert_eq!(first.summary.users, 1);
    python(root.path(), &(user_row("1", &[]) + &user_row("2", &[])));
    let newest = Imported::of(root.path());
    assert_eq!(newest.summary.file, root.path().join(NEWEST).join(FILE));
    assert_eq!(newest.summary.users, 2);
}

#[test]
fn rows_in_the_write_ahead_log_are_imported_and_no_file_changes() {
    let root = TempDir::new().unwrap();
    let file = python(root.path(), &user_row("1", &[]));
    {
        let connection = Connection::open(&file).unwrap();
        let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(keep, true).unwrap();
        let sql = format!("PRAGMA journal_mode = WAL; {}", user_row("2", &[]));
        connection.execute_batch(&sql).unwrap();
    }
    let log = root.path().join(NEWEST).join(format!("{FILE}-wal"));
    let before = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
    assert!(!before.1.is_empty());
    let imported = Imported::of(root.path());
    assert_eq!(imported.summary.users, 2);
    assert!(before == (fs::read(&file).unwrap(), fs::read(&log).unwrap()));
    // The digest is of both files.
    let both = [before.0, before.1].concat();
    let digest = hex(&Sha256::digest(both).into());
    assert!(imported.message().contains(&format!("(SHA-256 {digest}).")));
}

#[test]
fn journal_of_a_transaction_across_databases_is_a_fault() {
    let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let root = TempDir::new().unwrap();
    python(root.path(), "");
    let journal = root.path().join(NEWEST).join(format!("{FILE}-journal"));
    let expected =
        format!("{NEWEST}/{FILE}-journal: belongs to a transaction across several databases");
    // Also if its end comes in two reads.
    for filler in [0, 100, 64 * 1024 - 4] {
        fs::write(&journal, [&vec![0; filler][..], &magic].concat()).unwrap();
        assert_eq!(faults(root.path()), [&*expected], "{filler}");
    }
    for other in [&[0; 512][..], &magic[1..], &[&magic[..], &[0]].concat()] {
        fs::write(&journal, other).unwrap();
        assert_eq!(faults(root.path()), [""; 0]);
    }
    fs::remove_file(&journal).unwrap();
    let log = root.path().join(NEWEST).join(format!("{FILE}-wal"));
    fs::write(log, magic).unwrap();
    assert_eq!(faults(root.path()), [""; 0]);
}

#[test]
fn copies_are_private_and_old_ones_are_removed() {
    let directory = TempDir::new().unwrap();
    let left = directory.path().join("import-left");
    let (file, other) = (
        directory.path().join("import-file"),
        directory.path().join("other"),
    );
    fs::create_dir(&left).unwrap();
    fs::write(left.join("copy"), "").unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(&file, "").unwrap();
    let first = stage_directory(directory.path()).unwrap();
    assert!(left.exists());
    let stage = clean_stage_directory(directory.path()).unwrap();
    assert!(!left.exists() && !first.path().exists());
    assert!(file.exists() && other.exists());
    let mode = fs::metadata(stage.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let path = stage.path().to_owned();
    assert_eq!(path.parent().unwrap(), directory.path());
    drop(stage);
    assert!(!path.exists());
    let missing = directory.path().join("missing");
    assert!(matches!(
        clean_stage_directory(&missing),
        Err(StoreError::Io { .. })
    ));
    assert!(matches!(
        stage_directory(&missing),
        Err(StoreError::Io { .. })
    ));
    // The copies themselves are private, too.
    python(directory.path(), "");
    let stage = stage_directory(directory.path()).unwrap();
    let survey = Survey::of(directory.path(), stage.path()).unwrap();
    let copy = survey.staged.unwrap().copy;
    assert!(copy.starts_with(stage.path()));
    let mode = fs::metadata(copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

// At the first start, and later.

#[test]
fn first_start_imports_and_later_ones_warn_of_a_change() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let file = python(path, &user_row("1", &[]));
    let start = || {
        let observer = |row: &auth_server::domain::audit::ChainedRow, _: &str| {
            TOLD.lock().unwrap().push(row.row.event.action.clone());
        };
        let store = Store::open_or_import(path, observer).unwrap();
        assert_eq!(store.read(|state, _| state.user_count()), 1);
    };
    assert_eq!(warnings(start), [""; 0]);
    assert_eq!(*TOLD.lock().unwrap(), ["import"]);
    // The copy is gone, and the original still there, beside the database and its reserve of space.
    let names: Vec<_> = fs::read_dir(path).unwrap().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(warnings(start), [""; 0]);
    run(&file, &user_row("2", &[]));
    let warned = warnings(start);
    let said = format!(
        "the Python server's state has changed since {0} was imported, and is ignored: {0};",
        file.display()
    );
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with(&said), "{warned:?}");
    fs::write(path.join(FILE), "").unwrap();
    let warned = warnings(start);
    assert!(
        warned[0].contains("is not where any known version"),
        "{warned:?}"
    );
    fs::remove_file(path.join(FILE)).unwrap();
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(warnings(start), [""; 0]);
    assert_eq!(*TOLD.lock().unwrap(), ["import"]);
}

#[test]
fn state_that_was_never_imported_is_warned_of() {
    let directory = TempDir::new().unwrap();
    let start = || drop(Store::open_or_import(directory.path(), |_, _| {}).unwrap());
    assert_eq!(warnings(start), [""; 0]);
    let file = python(directory.path(), "");
    let warned = warnings(start);
    assert_eq!(warned.len(), 1);
    let said = "the Python server's state was never imported, and is ignored: ";
    assert!(warned[0].starts_with(said), "{warned:?}");
    assert!(warned[0].contains(&file.display().to_string()));
}

#[test]
fn first_start_with_a_fault_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let sql = user_row("1", &[("username", "''")]) + &user_row("2", &[("full_name", "''")]);
    let file = python(directory.path(), &sql);
    let error = Store::open_or_import(directory.path(), |_, _| {})
        .map(drop)
        .unwrap_err();
    let expected = format!(
        "{}: table user, id 1, column username: is empty",
        file.display()
    );
    assert!(
        matches!(&error, StoreError::NotImported { first, more: 1 } if *first == expected),
        "{error:?}"
    );
    assert!(!directory.path().join(DATABASE).exists());
}

// By the console.

fn wait<T>(work: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

/// Commits changes.
fn change(store: &Store, changes: Vec<Change>) {
    let decision = Decision {
        changes,
        ..Decision::reply(())
    };
    wait(store.write(|_, _| Ok::<_, Infallible>(decision)))
        .unwrap()
        .unwrap();
}

#[test]
fn import_into_a_database_in_use_replaces_its_accounts_and_ends_its_sessions() {
    let root = TempDir::new().unwrap();
    python(
        root.path(),
        &(user_row("1", &[]) + &user_row("2", &[("username", "''")])),
    );
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path(), |_, _| {}).unwrap();
    let own = User {
        id: UserId(50),
        username: "Own".into(),
        ..Imported::from(&user_row("1", &[])).user(1)
    };
    change(
        &store,
        vec![
            Change::PutUser(own),
            Change::PutSession(Session {
                id: SessionId(60),
                user: UserId(50),
                grant: Scopes::UNBOUNDED,
                expires: Moment(i64::MAX),
            }),
        ],
    );
    let import = |strictness| {
        let stage = TempDir::new().unwrap();
        let survey = Survey::of(root.path(), stage.path()).unwrap();
        wait(store.import(survey, strictness, caller()))
    };
    let error = import(Strictness::All).unwrap_err();
    assert!(
        matches!(error, StoreError::NotImported { more: 0, .. }),
        "{error:?}"
    );
    assert!(store.read(|state, _| state.user_named("Own").is_some()));
    let check = |store: &Store| {
        store.read(|state, _| {
            let names: Vec<_> = state.users().map(|user| &*user.username).collect();
            assert_eq!(names, ["user1"]);
            assert!(state.session(SessionId(60)).is_none());
            assert_eq!(state.former_username("own").unwrap().user, UserId(50));
            // Forced, without a row for it.
            assert!(state.access_control());
        });
    };
    let warned = std::cell::Cell::new(None);
    let _ = warnings(|| warned.set(Some(import(Strictness::Force).unwrap())));
    let summary = warned.take().unwrap();
    assert_eq!((summary.users, summary.faults.len()), (1, 1));
    check(&store);
    store.read(|state, _| {
        assert_eq!(state.next_user(), UserId(51));
        assert_eq!(state.next_session(), SessionId(61));
    });
    let said = message(directory.path());
    assert!(said.contains(" Skipped: "), "{said}");
    assert!(
        said.ends_with("table user, id 2, column username: is empty."),
        "{said}"
    );
    wait(store.wait_for_event());
    drop(store);
    check(&Store::open(directory.path(), |_, _| {}).unwrap());
}

#[test]
fn import_removes_the_directory_and_its_users() {
    let root = TempDir::new().unwrap();
    python(root.path(), &user_row("1", &[]));
    let configuration: Configuration = serde_json::from_value(serde_json::json!({
        "kind": "ldap",
        "servers": ["ldaps://ldap.lab.example"],
        "ca": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
        "base": "dc=lab,dc=example",
        "names": {"filter": "(uid={name})"},
        "bindName": "cn=robot,dc=lab,dc=example",
        "bindPassword": "bind secret",
        "fullNameAttribute": "cn",
        "adminGroups": ["cn=admins,dc=lab,dc=example"],
        "userGroups": [],
        "auditorGroups": [],
        "offlineDays": 7,
        "maxWrongPasswords": 3,
    }))
    .unwrap();
    let id = DirectoryId::from_text("0".repeat(32)).unwrap();
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path(), |_, _| {}).unwrap();
    let person = User {
        id: UserId(50),
        username: "Person".into(),
        directory: Some(OfDirectory {
            id: id.clone(),
            looked_up: Moment(0),
            confirmed: Some(Moment(0)),
        }),
        ..Imported::from(&user_row("1", &[])).user(1)
    };
    change(
        &store,
        vec![
            Change::PutDirectory(Some(Arc::new(configuration.into()))),
            Change::PutUser(person),
        ],
    );
    let stage = TempDir::new().unwrap();
    let survey = Survey::of(root.path(), stage.path()).unwrap();
    wait(store.import(survey, Strictness::All, caller())).unwrap();
    let check = |store: &Store| {
        store.read(|state, _| {
            assert!(state.directory().is_none());
            assert!(state.user_of_directory(&id).is_none());
            let names: Vec<_> = state.users().map(|user| &*user.username).collect();
            assert_eq!(names, ["user1"]);
        });
    };
    check(&store);
    drop(store);
    check(&Store::open(directory.path(), |_, _| {}).unwrap());
}

#[test]
fn import_never_turns_access_control_off() {
    let root = TempDir::new().unwrap();
    python(
        root.path(),
        "INSERT INTO access_control_enabled VALUES (1, 0);",
    );
    for on in [true, false] {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path(), |_, _| {}).unwrap();
        change(&store, vec![Change::SetAccessControl(on)]);
        let stage = TempDir::new().unwrap();
        let survey = Survey::of(root.path(), stage.path()).unwrap();
        let summary = wait(store.import(survey, Strictness::All, caller())).unwrap();
        assert_eq!(summary.access_control, on);
        assert_eq!(store.read(|state, _| state.access_control()), on);
    }
}

#[test]
fn many_faults_are_counted_and_the_first_ones_listed() {
    let rows: String = (1..=250)
        .map(|id| user_row(&id.to_string(), &[("username", "''")]))
        .collect();
    let imported = Imported::from(&rows);
    let faults = &imported.summary.faults;
    assert_eq!(faults.len(), 201);
    assert!(faults[199].contains("id 200,"));
    assert_eq!(faults[200], "and 50 more");
    let said = imported.message();
    assert!(said.contains("id 20, column"), "{said}");
    assert!(said.ends_with("; and 230 more."), "{said}");
    // Exactly as many as are listed need no line for the rest.
    let rows: String = (1..=20)
        .map(|id| user_row(&id.to_string(), &[("username", "''")]))
        .collect();
    let said = Imported::from(&rows).message();
    assert!(
        said.ends_with("id 20, column username: is empty."),
        "{said}"
    );
}

#[test]
fn skipped_rows_are_warned_of() {
    let warned = warnings(|| {
        let row = user_row("1", &[]) + &user_row("2", &[("username", "''")]);
        assert_eq!(Imported::from(&row).summary.users, 1);
    });
    assert_eq!(warned.len(), 1);
    assert!(
        warned[0].starts_with("skipped during the import: "),
        "{warned:?}"
    );
    assert!(
        warned[0].ends_with("id 2, column username: is empty"),
        "{warned:?}"
    );
}

#[test]
fn table_with_too_many_rows_is_read_in_part() {
    let root = TempDir::new().unwrap();
    python(
        root.path(),
        "INSERT INTO user (id)
             WITH RECURSIVE each (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM each LIMIT 100002)
             SELECT id FROM each;",
    );
    // Each row is faulty: a hundred thousand of them, and one fault for the others.
    let faults = read(root.path()).summary().faults;
    assert_eq!(faults[200], "and 99801 more");
    let run_in = |sql: &str| run(&root.path().join(NEWEST).join(FILE), sql);
    run_in("DELETE FROM user WHERE id > 100000;");
    let faults = read(root.path()).summary().faults;
    assert_eq!(faults[200], "and 99800 more");
}

#[test]
fn failed_import_leaves_no_database() {
    let root = TempDir::new().unwrap();
    python(root.path(), &user_row("1", &[]));
    let import = read(root.path());
    let missing = root.path().join("missing");
    let made = import.make_database(&missing, &caller(), |_, _| {});
    assert!(matches!(made, Err(StoreError::Io { .. })));
    assert!(!missing.exists());
}
