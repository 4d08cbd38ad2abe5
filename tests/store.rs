//! The store by its files: what a new database is like, which files are refused and left alone, how
//! backups are made and restored, what the audit log proves, and when a lost file is noticed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_server::domain::audit::{hex, ChainedRow, Event, Origin, RefusalKind};
use auth_server::domain::authority::Caller;
use auth_server::domain::change::Change;
use auth_server::domain::decision::Decision;
use auth_server::domain::passwords::PasswordHash;
use auth_server::domain::scopes::Scopes;
use auth_server::domain::settings::Settings;
use auth_server::domain::time::Moment;
use auth_server::domain::tokens::{
    AccessToken, HandleDigest, RefreshToken, Session, SessionId, TokenDigest,
};
use auth_server::domain::users::{AccountType, ResetPasswordReason, User, UserId};
use auth_server::store::{
    backup, is_damaged, move_aside, AuditLog, Backup, DeliveryStatus, Store, StoreError, Verified,
    DATABASE,
};
use futures_util::FutureExt;
use rusqlite::config::DbConfig;
use rusqlite::Connection;
use tempfile::TempDir;

/// Timeout of each event that a test waits for; only a broken store exceeds it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Moment that no test gets to: 5,000 years after the origin, in milliseconds.
const FAR: i64 = 5_000 * 366 * 86_400_000;
/// Schema of the first version, in which backups may still be written.
const FIRST_SCHEMA: &str = include_str!("../src/store/migrations/001-accounts.sql");
/// Mark of our databases: "OTAS" in ASCII.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"OTAS");

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
}

fn open(directory: &Path) -> Store {
    Store::open(directory, |_, _| {}).unwrap()
}

fn refused(directory: &Path) -> StoreError {
    Store::open(directory, |_, _| {}).map(drop).unwrap_err()
}

/// Returns a directory with a new database.
fn made() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()));
    let path = directory.path().join(DATABASE);
    (directory, path)
}

/// Runs SQL on a database, as another program could.
fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// Returns the first column of the first row.
fn ask<T: rusqlite::types::FromSql>(path: &Path, sql: &str) -> T {
    let connection = Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Overwrites the page that is the root of a table or index.
fn spoil(path: &Path, name: &str) {
    let sql = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'");
    let (page, size): (usize, usize) = (ask(path, &sql), ask(path, "PRAGMA page_size"));
    let mut bytes = fs::read(path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xee);
    fs::write(path, bytes).unwrap();
}

/// Returns the names and contents of the files of a directory that hold data: neither the shared
/// memory nor an empty log, which reading a database leaves behind, nor the reserve of disk space.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"))
        .filter(|path| !path.ends_with("reserve"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .filter(|(name, content)| name == DATABASE || !content.is_empty())
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn caller() -> Caller {
    Caller::anonymous(Origin::Server, None)
}

fn event(message: &str) -> Event {
    caller().event("test", message.into())
}

fn commit(store: &Store, changes: Vec<Change>, events: Vec<Event>) -> Result<(), StoreError> {
    let decision = Decision {
        changes,
        events,
        reply: (),
    };
    wait(store.write(move |_, _| Ok::<_, Infallible>(decision))).map(|done| done.unwrap())
}

/// Returns a well-formed hash that depends on `name`.
fn hash(name: &str) -> PasswordHash {
    let salt: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    PasswordHash::from_phc(format!(
        "$argon2id$v=19$m=8,t=1,p=1${salt:A<12.12}$AAAAAAAAAAAAAAAAAAAAAA"
    ))
}

fn user(id: i64, name: &str) -> User {
    User {
        id: UserId(id),
        username: name.into(),
        full_name: format!("{name} the User"),
        account_type: AccountType::Admin,
        password: hash(name),
        password_set_at: Moment(1_000_000),
        temporary_password: false,
        stored_reason: ResetPasswordReason::None,
        locked_by_admin: false,
        failed_logins: 2,
        last_failed_login: Some(Moment(2_000_000)),
        directory: None,
    }
}

fn session(id: i64, user: i64, expires: i64) -> Session {
    Session {
        id: SessionId(id),
        user: UserId(user),
        grant: Scopes::UNBOUNDED,
        expires: Moment(expires),
    }
}

fn access(session: i64, expires: i64) -> AccessToken {
    AccessToken {
        session: SessionId(session),
        scopes: Scopes::UNBOUNDED,
        issued: Moment(0),
        expires: Moment(expires),
    }
}

fn messages(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let log = AuditLog::open(directory).unwrap();
    let done = log.each(|row| {
        found.push(row.row.event.message);
        Ok::<_, Infallible>(())
    });
    done.unwrap().unwrap();
    found
}

// Opening.

#[test]
fn new_database_is_private_and_complete_under_its_name_alone() {
    let (directory, path) = made();
    assert_eq!(
        files(directory.path()).into_keys().collect::<Vec<_>>(),
        [DATABASE]
    );
    assert_eq!(mode(&path), 0o600);
    assert_eq!(ask::<u32>(&path, "PRAGMA application_id"), APPLICATION_ID);
    assert!(ask::<u32>(&path, "PRAGMA user_version") >= 2);
    assert_eq!(ask::<String>(&path, "PRAGMA journal_mode"), "wal");
    // Incremental: free pages can be returned to the file system.
    assert_eq!(ask::<u32>(&path, "PRAGMA auto_vacuum"), 2);
    assert_eq!(ask::<u32>(&path, "SELECT count(*) FROM clock_mark"), 1);
}

#[test]
fn remains_of_a_creation_that_was_interrupted_are_replaced() {
    let directory = TempDir::new().unwrap();
    for suffix in [".new", ".new-wal", ".new-shm"] {
        let name = format!("{DATABASE}{suffix}");
        fs::write(directory.path().join(name), "remains").unwrap();
    }
    drop(open(directory.path()));
    assert_eq!(
        files(directory.path()).into_keys().collect::<Vec<_>>(),
        [DATABASE]
    );
}

#[test]
fn remains_that_cannot_be_removed_are_reported() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join(format!("{DATABASE}.new"))).unwrap();
    let error = refused(directory.path());
    let is_a_directory = Some(nix::errno::Errno::EISDIR as i32);
    assert!(
        matches!(&error, StoreError::Io { doing: "create", source, .. }
            if source.raw_os_error() == is_a_directory),
        "{error:?}"
    );
}

#[test]
fn directory_that_is_missing_or_none_is_reported() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    let error = refused(&missing);
    assert!(
        matches!(
            error,
            StoreError::Io {
                doing: "create",
                ..
            }
        ),
        "{error:?}"
    );
    fs::write(&missing, "a file").unwrap();
    let error = refused(&missing);
    assert!(
        matches!(error, StoreError::Io { doing: "read", .. }),
        "{error:?}"
    );
}

/// Faults of a database file, what each is refused as, and whether it must be replaced.
#[test]
fn file_that_is_not_usable_is_refused_and_left_alone() {
    type Spoil = fn(&Path);
    type Expected = fn(&StoreError) -> bool;
    let faults: [(&str, Spoil, Expected, bool); 12] = [
        (
            "empty",
            |path| fs::write(path, "").unwrap(),
            |error| matches!(error, StoreError::Damaged { source, .. } if source.to_string() == "the file is empty"),
            true,
        ),
        (
            "no database",
            |path| fs::write(path, "x".repeat(10_000)).unwrap(),
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "another program's database",
            |path| tamper(path, "PRAGMA application_id = 1"),
            |error| matches!(error, StoreError::Foreign { .. }),
            true,
        ),
        (
            "newer",
            |path| tamper(path, "PRAGMA user_version = 1000"),
            |error| {
                matches!(
                    error,
                    StoreError::Newer {
                        found: 1000,
                        known: 2..=999,
                        ..
                    }
                )
            },
            false,
        ),
        (
            "lost beside its log",
            |path| {
                fs::write(format!("{}-wal", path.display()), "log").unwrap();
                fs::remove_file(path).unwrap();
            },
            |error| matches!(error, StoreError::Damaged { source, .. } if source.to_string().ends_with("-wal exists")),
            true,
        ),
        (
            "damaged where no row is read from",
            |path| spoil(path, "sqlite_autoindex_user_1"),
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "account type that no version writes",
            |path| {
                tamper(
                    path,
                    "PRAGMA ignore_check_constraints = ON; UPDATE user SET account_type = 'king'",
                )
            },
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "reason that no version writes",
            |path| {
                tamper(
                    path,
                    "PRAGMA ignore_check_constraints = ON; UPDATE user SET reset_reason = 'x'",
                )
            },
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "number that no version writes",
            |path| tamper(path, "UPDATE user SET failed_logins = 1 << 40"),
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "lifetime beyond its bounds",
            |path| tamper(path, "UPDATE setting SET idle_logout = 1e9"),
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "lifetime that is no duration",
            |path| {
                tamper(
                    path,
                    "PRAGMA ignore_check_constraints = ON; UPDATE setting SET idle_logout = -1",
                )
            },
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
        (
            "without a table",
            |path| tamper(path, "DROP TABLE refresh_token"),
            |error| matches!(error, StoreError::Damaged { .. }),
            true,
        ),
    ];
    for (name, spoil, expected, must_be_replaced) in faults {
        let directory = TempDir::new().unwrap();
        let changes = vec![
            Change::PutUser(user(1, "ada")),
            Change::PutSettings(Settings::default()),
        ];
        commit(&open(directory.path()), changes, Vec::new()).unwrap();
        spoil(&directory.path().join(DATABASE));
        let before = files(directory.path());
        let error = refused(directory.path());
        assert!(expected(&error), "{name}: {error:?}");
        assert_eq!(is_damaged(&error), must_be_replaced, "{name}: {error:?}");
        assert!(before == files(directory.path()), "{name}: a file changed");
    }
}

/// The last writes of a damaged database may be in its log only, so the log stays as well.
#[test]
fn log_of_a_damaged_database_is_left_alone_and_that_of_a_sound_one_is_taken_in() {
    let (directory, path) = made();
    let write_into_the_log = || {
        let connection = Connection::open(&path).unwrap();
        let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(keep, true).unwrap();
        connection
            .execute_batch("UPDATE audit_state SET delivered = delivered + 1")
            .unwrap();
    };
    write_into_the_log();
    drop(open(directory.path()));
    assert_eq!(files(directory.path()).len(), 1);
    assert_eq!(ask::<i64>(&path, "SELECT delivered FROM audit_state"), 1);
    spoil(&path, "sqlite_autoindex_user_1");
    write_into_the_log();
    let before = files(directory.path());
    assert_eq!(before.len(), 2);
    assert!(is_damaged(&refused(directory.path())));
    assert!(before == files(directory.path()));
}

#[test]
fn damaged_database_is_moved_aside_with_its_files_and_none_is_overwritten() {
    let directory = TempDir::new().unwrap();
    for number in ["1", "2"] {
        for suffix in ["", "-wal", "-shm"] {
            let name = format!("{DATABASE}{suffix}");
            fs::write(directory.path().join(name), format!("{suffix}{number}")).unwrap();
        }
        let aside = move_aside(directory.path()).unwrap();
        let expected = format!("{DATABASE}.damaged-{number}");
        assert_eq!(aside, directory.path().join(&expected));
        for suffix in ["", "-wal", "-shm"] {
            let moved = directory.path().join(format!("{expected}{suffix}"));
            let content = fs::read_to_string(moved).unwrap();
            assert_eq!(content, format!("{suffix}{number}"));
            assert!(!directory
                .path()
                .join(format!("{DATABASE}{suffix}"))
                .exists());
        }
    }
    // The database alone, without a log.
    fs::write(directory.path().join(DATABASE), "3").unwrap();
    let aside = move_aside(directory.path()).unwrap();
    assert!(aside.to_string_lossy().ends_with(".damaged-3"));
    assert!(move_aside(&directory.path().join("missing")).is_err());
}

#[test]
fn move_aside_reports_a_file_that_cannot_be_renamed() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let error = move_aside(&file).unwrap_err();
    assert_eq!(
        error.raw_os_error(),
        Some(nix::errno::Errno::ENOTDIR as i32)
    );
}

#[test]
fn timeline_goes_on_from_the_stored_mark() {
    let (directory, path) = made();
    // After a reboot, with a wall clock that is behind: no time is counted.
    let mark = |moment: i64, wall: &str| {
        let sql = format!("UPDATE clock_mark SET moment = {moment}, boot = 'other', wall = {wall}");
        tamper(&path, &sql);
    };
    mark(5_000_000, "wall + 1000000000");
    let now = open(directory.path()).clock().now();
    assert!((5_000_000..5_060_000).contains(&now.0), "{now:?}");
    let stored: i64 = ask(&path, "SELECT moment FROM clock_mark");
    assert!((5_000_000..=now.0).contains(&stored), "{stored}");
    assert_ne!(ask::<String>(&path, "SELECT boot FROM clock_mark"), "other");
    // With a wall clock that is right: the time without power is counted.
    mark(5_000_000, "wall - 1000000");
    let now = open(directory.path()).clock().now();
    assert!((6_000_000..6_060_000).contains(&now.0), "{now:?}");
}

#[test]
fn error_counts_further_faults() {
    let error = |more| StoreError::NotImported {
        first: "/x: is odd".into(),
        more,
    };
    let start = "cannot import the Python server's state: /x: is odd";
    assert!(error(0).to_string().starts_with(&format!("{start};")));
    assert!(error(2)
        .to_string()
        .starts_with(&format!("{start} (and 2 more);")));
}

// Writing.

#[test]
fn panic_of_a_rule_changes_nothing_and_the_next_write_works() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let panicked = wait(store.write(|_, _| -> Result<Decision<()>, Infallible> {
        panic!("a rule panics on purpose");
    }));
    assert!(matches!(panicked, Err(StoreError::Stopped)));
    commit(&store, vec![Change::PutUser(user(1, "ada"))], Vec::new()).unwrap();
    assert_eq!(store.read(|state, _| state.user_count()), 1);
}

#[test]
fn refusal_of_a_rule_is_returned_and_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let refused = wait(store.write(|_, _| Err::<Decision<()>, _>("no")));
    assert_eq!(refused.unwrap(), Err("no"));
    assert!(messages(directory.path()).is_empty());
}

#[test]
fn change_that_the_database_refuses_is_not_in_memory_either() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    // A session without a user.
    let changes = vec![
        Change::PutUser(user(1, "ada")),
        Change::PutSession(session(1, 99, 0)),
    ];
    let error = commit(&store, changes, vec![event("lost")]).unwrap_err();
    assert!(
        matches!(error, StoreError::Sqlite { doing: "write", .. }),
        "{error:?}"
    );
    assert_eq!(store.read(|state, _| state.user_count()), 0);
    assert!(messages(directory.path()).is_empty());
}

#[test]
fn writes_that_were_begun_are_completed_when_the_store_is_dropped() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let begun = store
        .write(|_, _| {
            std::thread::sleep(Duration::from_millis(100));
            DONE.store(true, Ordering::SeqCst);
            Ok::<_, Infallible>(Decision::reply(()))
        })
        .now_or_never();
    assert!(begun.is_none());
    drop(store);
    assert!(DONE.load(Ordering::SeqCst));
}

#[test]
fn settled_database_has_everything_in_its_file() {
    let (directory, path) = made();
    let store = open(directory.path());
    commit(&store, Vec::new(), vec![event("1")]).unwrap();
    let log = PathBuf::from(format!("{}-wal", path.display()));
    assert!(fs::metadata(&log).unwrap().len() > 0);
    wait(store.settle()).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert_eq!(messages(directory.path()), ["1"]);
}

#[test]
fn closed_store_has_left_no_log_and_writes_nothing_more() {
    let (directory, path) = made();
    let store = Arc::new(open(directory.path()));
    commit(&store, Vec::new(), vec![event("1")]).unwrap();
    // Others may still have the store, as the threads of the server do.
    let other = Arc::clone(&store);
    wait(store.close());
    for suffix in ["-wal", "-shm"] {
        assert!(!PathBuf::from(format!("{}{suffix}", path.display())).exists());
    }
    let refused = commit(&other, Vec::new(), vec![event("2")]).unwrap_err();
    assert!(matches!(refused, StoreError::Stopped), "{refused:?}");
    wait(other.close());
    assert_eq!(messages(directory.path()), ["1"]);
}

#[test]
fn session_goes_on_after_a_restart_with_its_handles_and_the_order_of_its_tokens() {
    let (directory, _) = made();
    let handle = HandleDigest(TokenDigest::of("handle"));
    let tokens: Vec<_> = (0..9_i64)
        .map(|number| TokenDigest::of(&number.to_string()))
        .collect();
    let mut changes = vec![
        Change::PutUser(user(1, "ada")),
        Change::PutSession(session(1, 1, FAR)),
        Change::PutHandle(handle, SessionId(1)),
    ];
    for (number, digest) in (0..).zip(&tokens) {
        let issued = AccessToken {
            issued: Moment(number),
            ..access(1, FAR)
        };
        changes.push(Change::PutAccessToken(*digest, issued));
        let token = RefreshToken {
            session: SessionId(1),
            expires: Moment(FAR + number),
            superseded: None,
        };
        changes.push(Change::PutRefreshToken(*digest, token));
    }
    let store = open(directory.path());
    commit(&store, changes, Vec::new()).unwrap();
    drop(store);
    let store = open(directory.path());
    store.read(|state, _| {
        assert_eq!(state.session_named(&handle).unwrap().id, SessionId(1));
        let access = state.access_tokens_of(SessionId(1));
        assert_eq!(access.map(|(digest, _)| digest).collect::<Vec<_>>(), tokens);
        let refresh = state.refresh_tokens_of(SessionId(1));
        assert_eq!(
            refresh.map(|(digest, _)| digest).collect::<Vec<_>>(),
            tokens
        );
    });
    // Nothing is left of a session that ends.
    commit(&store, vec![Change::EndSession(SessionId(1))], Vec::new()).unwrap();
    store.read(|state, _| {
        assert!(state.session_named(&handle).is_none());
        assert_eq!(state.refresh_tokens_of(SessionId(1)).count(), 0);
    });
    let path = directory.path().join(DATABASE);
    assert_eq!(ask::<u32>(&path, "SELECT count(*) FROM session_handle"), 0);
}

#[test]
fn expired_sessions_and_tokens_are_removed_from_memory_and_disk() {
    let (directory, path) = made();
    let store = open(directory.path());
    let never = FAR;
    let mut changes = vec![
        Change::PutUser(user(1, "ada")),
        Change::PutSession(session(1, 1, 0)),
        Change::PutSession(session(2, 1, never)),
    ];
    let lives = TokenDigest::of("lives");
    changes.push(Change::PutAccessToken(lives, access(2, never)));
    for number in 0..300 {
        let digest = TokenDigest::of(&number.to_string());
        changes.push(Change::PutAccessToken(digest, access(1 + number % 2, 0)));
        let token = RefreshToken {
            session: SessionId(1),
            expires: Moment(0),
            superseded: None,
        };
        changes.push(Change::PutRefreshToken(digest, token));
    }
    commit(&store, changes, Vec::new()).unwrap();
    wait(store.forget_expired()).unwrap();
    store.read(|state, _| {
        assert_eq!(state.token_count(), 1);
        assert!(state.access_token(&lives).is_some());
        assert!(state.session(SessionId(1)).is_none());
        assert!(state.session(SessionId(2)).is_some());
    });
    let count = |table: &str| ask::<u32>(&path, &format!("SELECT count(*) FROM {table}"));
    let left = [
        count("session"),
        count("access_token"),
        count("refresh_token"),
    ];
    assert_eq!(left, [1, 1, 0]);
    // Their space is returned to the file system.
    assert_eq!(ask::<u32>(&path, "PRAGMA freelist_count"), 0);
}

// A file that is lost while the store is open.

#[test]
fn lost_files_are_noticed_at_the_next_check_and_write() {
    type Lose = fn(&Path);
    let ways: [(&str, Lose); 4] = [
        (DATABASE, |path| fs::remove_file(path).unwrap()),
        (DATABASE, |path| {
            let other = path.with_extension("other");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        }),
        ("auth-server.sqlite-wal", |path| {
            fs::remove_file(path).unwrap()
        }),
        ("auth-server.sqlite-wal", |path| {
            let other = path.with_extension("other");
            fs::write(&other, "").unwrap();
            fs::rename(other, path).unwrap();
        }),
    ];
    for (number, (name, lose)) in ways.into_iter().enumerate() {
        let directory = TempDir::new().unwrap();
        let store = open(directory.path());
        let told = Arc::new(AtomicUsize::new(0));
        let tell = Arc::clone(&told);
        store.when_gone(move |_| {
            tell.fetch_add(1, Ordering::SeqCst);
        });
        commit(&store, Vec::new(), vec![event("kept")]).unwrap();
        store.check_place().unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 0);
        let path = directory.path().join(name);
        lose(&path);
        let error = store.check_place().unwrap_err();
        assert!(
            matches!(&error, StoreError::Gone { path: gone, .. } if *gone == path),
            "{number}: {error:?}"
        );
        assert_eq!(told.load(Ordering::SeqCst), 1);
        let written = commit(&store, vec![Change::PutUser(user(1, "ada"))], Vec::new());
        assert!(matches!(written, Err(StoreError::Gone { .. })), "{number}");
        assert!(told.load(Ordering::SeqCst) > 1);
    }
}

#[test]
fn write_that_went_to_a_lost_file_is_not_confirmed() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let path = directory.path().join(DATABASE);
    let written = wait(store.write(move |_, _| {
        fs::remove_file(path).unwrap();
        Ok::<_, Infallible>(Decision::reply(()))
    }));
    assert!(matches!(written, Err(StoreError::Gone { .. })));
}

// Backup and restore.

#[test]
fn backup_is_a_private_snapshot_of_the_database_in_use() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let changes = vec![Change::PutUser(user(1, "ada"))];
    commit(&store, changes, vec![event("made")]).unwrap();
    let target = directory.path().join("copy");
    backup(directory.path(), &target).unwrap();
    assert_eq!(mode(&target), 0o600);
    check_backup(&target, directory.path()).unwrap();
    assert_eq!(ask::<String>(&target, "SELECT username FROM user"), "ada");
    assert_eq!(ask::<u32>(&target, "SELECT count(*) FROM audit_log"), 1);
}

#[test]
fn backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let (directory, path) = made();
    let target = directory.path().join("copy");
    fs::write(&target, "precious").unwrap();
    let error = backup(directory.path(), &target).unwrap_err();
    assert!(
        matches!(&error, StoreError::Io { path, .. } if *path == target),
        "{error:?}"
    );
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    fs::remove_file(&target).unwrap();
    // Without a database, no file is made.
    let nowhere = directory.path().join("nowhere");
    assert!(backup(&nowhere, &target).is_err());
    assert!(!target.exists());
    spoil(&path, "user");
    let error = backup(directory.path(), &target).unwrap_err();
    assert!(is_damaged(&error), "{error:?}");
    assert!(!target.exists());
}

/// Checks a backup as the console does, with a private copy in `directory`.
fn check_backup(file: &Path, directory: &Path) -> Result<(), StoreError> {
    let staged = Backup::open(file)?.stage(directory)?;
    assert_eq!(mode(staged.path()), 0o600);
    Ok(())
}

/// Returns what the error of [`check_backup`] says that a file is.
fn no_backup(file: &Path, directory: &Path) -> String {
    match check_backup(file, directory).unwrap_err() {
        StoreError::NoBackup { path, what } if path == file => what,
        error => panic!("{error:?}"),
    }
}

#[test]
fn file_that_is_no_backup_is_refused() {
    let (directory, path) = made();
    check_backup(&path, directory.path()).unwrap();
    let bad = directory.path().join("bad");
    fs::write(&bad, "x".repeat(10_000)).unwrap();
    let what = no_backup(&bad, directory.path());
    assert_eq!(what, "is not an SQLite database");
    fs::copy(&path, &bad).unwrap();
    tamper(&bad, "PRAGMA application_id = 1");
    let what = no_backup(&bad, directory.path());
    assert!(what.ends_with("of another application"), "{what}");
    fs::copy(&path, &bad).unwrap();
    tamper(&bad, "PRAGMA user_version = 1000");
    let what = no_backup(&bad, directory.path());
    assert!(what.starts_with("has schema version 1000"), "{what}");
    fs::copy(&path, &bad).unwrap();
    spoil(&bad, "sqlite_autoindex_user_1");
    let what = no_backup(&bad, directory.path());
    assert!(what.starts_with("is damaged ("), "{what}");
    let store = open(directory.path());
    let error = wait(store.restore(bad, caller())).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(messages(directory.path()).is_empty());
}

/// Makes a backup with a user, a former username, two events, of which the first was set aside, and
/// access control on.
fn backup_of_another(into: &Path) -> PathBuf {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    wait(store.set_delivering(true)).unwrap();
    let former = auth_server::domain::users::FormerUsername::of(&user(9, "eve"));
    let changes = vec![
        Change::PutUser(user(1, "ada")),
        Change::PutUser(user(2, "bea")),
        Change::SetAccessControl(true),
        Change::PutFormerUsername(former),
        Change::PutSession(session(1, 1, FAR)),
    ];
    commit(&store, changes, vec![event("1"), event("2")]).unwrap();
    wait(store.set_aside(1)).unwrap();
    let target = into.join("backup");
    backup(directory.path(), &target).unwrap();
    target
}

#[test]
fn restore_replaces_accounts_and_settings_and_ends_all_sessions() {
    let directory = TempDir::new().unwrap();
    let source = backup_of_another(directory.path());
    let store = open(directory.path());
    let changes = vec![
        Change::PutUser(user(5, "Own")),
        Change::PutSession(session(40, 5, FAR)),
    ];
    commit(&store, changes, vec![event("own")]).unwrap();
    let head: String = ask(&source, "SELECT lower(hex(last_hash)) FROM audit_state");
    let restored = wait(store.restore(source.clone(), caller())).unwrap();
    assert_eq!((restored.users, restored.with_audit_log), (2, false));
    let check = |store: &Store| {
        store.read(|state, _| {
            let names: Vec<_> = state.users().map(|user| &*user.username).collect();
            assert_eq!(names, ["ada", "bea"]);
            assert!(state.access_control());
            for id in [1, 40] {
                assert!(state.session(SessionId(id)).is_none());
            }
            // Who had a username still has it.
            assert_eq!(state.former_username("own").unwrap().user, UserId(5));
            assert_eq!(state.former_username("eve").unwrap().user, UserId(9));
        });
    };
    check(&store);
    // Ids that requests may still refer to are not used again.
    store.read(|state, _| {
        assert_eq!(state.next_session(), SessionId(41));
        assert_eq!(state.next_user(), UserId(6));
    });
    // The log in use goes on, and names the end of the one in the backup.
    let said = format!(
        "Restored accounts and settings from a backup whose audit log ends with row 2, {head}."
    );
    assert_eq!(messages(directory.path()), ["own", &said]);
    drop(store);
    check(&open(directory.path()));
    // A second time, from the same file.
    let store = open(directory.path());
    assert_eq!(wait(store.restore(source, caller())).unwrap().users, 2);
    let log = AuditLog::open(directory.path()).unwrap();
    assert!(matches!(log.verify(), Ok(Verified::Whole { rows: 3, .. })));
}

#[test]
fn restore_on_a_new_robot_takes_the_audit_log_and_its_queue() {
    let directory = TempDir::new().unwrap();
    let source = backup_of_another(directory.path());
    let chain: String = ask(&source, "SELECT chain FROM audit_state");
    let store = open(directory.path());
    let restored = wait(store.restore(source, caller())).unwrap();
    assert!(restored.with_audit_log);
    assert_eq!(messages(directory.path()).len(), 3);
    let log = AuditLog::open(directory.path()).unwrap();
    assert!(matches!(log.verify(), Ok(Verified::Whole { rows: 3, .. })));
    assert_eq!(log.chain().unwrap(), chain);
    assert_eq!(
        log.delivery_status().unwrap(),
        DeliveryStatus {
            rows: 3,
            configured: true,
            delivered: 1,
            waiting: 2,
            set_aside: vec![(1, false)],
        }
    );
    // Delivery learns of the new row.
    wait(store.wait_for_event());
}

#[test]
fn restore_takes_no_log_from_a_backup_that_has_none() {
    let (other, _) = made();
    let directory = TempDir::new().unwrap();
    let source = directory.path().join("backup");
    backup(other.path(), &source).unwrap();
    let store = open(directory.path());
    let chain = AuditLog::open(directory.path()).unwrap().chain().unwrap();
    let restored = wait(store.restore(source, caller())).unwrap();
    assert_eq!((restored.users, restored.with_audit_log), (0, false));
    let log = AuditLog::open(directory.path()).unwrap();
    assert_eq!(log.chain().unwrap(), chain);
    assert_eq!(messages(directory.path()).len(), 1);
}

/// Writes a database as the first version did, with one user, who has a temporary password.
fn write_first_version(path: &Path) {
    tamper(path, FIRST_SCHEMA);
    tamper(
        path,
        &format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;
             INSERT INTO setting VALUES (1, 0, 5, NULL, NULL, NULL, 1e6, 1, 1, 0);
             INSERT INTO user VALUES
                 (7, 'old', 'Old', 'admin', '{}', 0, 'FIRST_TIME_LOGIN', 0, 0, NULL);",
            hash("old").as_phc()
        ),
    );
}

#[test]
fn restore_migrates_a_backup_of_the_first_version() {
    let directory = TempDir::new().unwrap();
    let source = directory.path().join("backup");
    write_first_version(&source);
    let store = open(directory.path());
    assert_eq!(wait(store.restore(source, caller())).unwrap().users, 1);
    store.read(|state, _| {
        assert!(state.user_named("old").unwrap().temporary_password);
        // Durations have got other bounds since.
        let week = Duration::from_secs(604_800);
        assert_eq!(state.settings().idle_logout, week);
    });
}

/// The backup's moments are on another timeline; both are compared by their wall clocks.
#[test]
fn restore_keeps_the_age_of_passwords() {
    let directory = TempDir::new().unwrap();
    let source = backup_of_another(directory.path());
    let wall: i64 = ask(&source, "SELECT wall FROM clock_mark");
    // One hour before now, the backup's timeline was at 7,000 seconds.
    let hour = 3_600_000;
    let (then, now) = (7_000_000, 90_000_000);
    tamper(
        &source,
        &format!(
            "UPDATE clock_mark SET moment = {then}, wall = {}",
            wall - hour
        ),
    );
    tamper(
        &source,
        &format!(
            "UPDATE user SET directory_id = '{}', directory_looked_up = 3000000,
                 directory_confirmed = 4000000 WHERE username = 'ada'",
            "0".repeat(32)
        ),
    );
    drop(open(directory.path()));
    // Now our timeline is at 90,000 seconds.
    tamper(
        &directory.path().join(DATABASE),
        &format!("UPDATE clock_mark SET boot = 'other', moment = {now}, wall = wall + 1000000000"),
    );
    let store = open(directory.path());
    wait(store.restore(source, caller())).unwrap();
    let ada = store.read(|state, _| state.user_named("ada").cloned().unwrap());
    let near = |found: Moment, then_at: i64| {
        let expected = now - hour - (then - then_at);
        (found.0 - expected).abs() < 60_000
    };
    assert!(near(ada.password_set_at, 1_000_000), "{ada:?}");
    assert!(near(ada.last_failed_login.unwrap(), 2_000_000), "{ada:?}");
    let of = ada.directory.clone().unwrap();
    assert!(near(of.looked_up, 3_000_000), "{ada:?}");
    assert_eq!(of.confirmed, None, "{ada:?}");
}

// The audit log.

#[test]
fn rows_are_told_to_the_observer_and_read_back_with_all_their_fields() {
    static TOLD: Mutex<Vec<(ChainedRow, String)>> = Mutex::new(Vec::new());
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path(), |row, chain| {
        TOLD.lock().unwrap().push((row.clone(), chain.into()));
    })
    .unwrap();
    let with = |origin, reason: Option<&str>| Event {
        origin: Some(origin),
        reason: reason.map(Into::into),
        account_name: "ada".into(),
        legal_name: "Ada L".into(),
        ..event("said")
    };
    let events = vec![
        with(Origin::Http, None),
        with(Origin::Console, Some("because")),
        with(Origin::Server, Some("")),
    ];
    commit(&store, Vec::new(), events.clone()).unwrap();
    wait(store.note(caller(), "noted", "a note".into())).unwrap();
    let told = std::mem::take(&mut *TOLD.lock().unwrap());
    let log = AuditLog::open(directory.path()).unwrap();
    let mut found = Vec::new();
    let done = log.each(|row| {
        found.push(row);
        Ok::<_, Infallible>(())
    });
    done.unwrap().unwrap();
    assert_eq!(found.len(), 4);
    let chain = log.chain().unwrap();
    assert_eq!(chain.len(), 16);
    for (index, (row, told)) in found.iter().zip(told).enumerate() {
        assert_eq!((row, &chain), (&told.0, &told.1));
        assert_eq!(row.row.seq, index as i64 + 1);
        assert!(row.row.time.ends_with('Z'));
        if let Some(event) = events.get(index) {
            assert_eq!(row.row.event, *event);
        }
    }
    assert_eq!(found[3].row.event.action, "noted");
    for row in &found {
        assert_eq!(log.hash_of(row.row.seq).unwrap(), Some(row.hash));
    }
    assert_eq!(log.hash_of(5).unwrap(), None);
    // Reading ends at the first error.
    let mut count = 0;
    let ended = log.each(|_| {
        count += 1;
        Err("enough")
    });
    assert_eq!((ended.unwrap(), count), (Err("enough"), 1));
}

/// What another program did to a log of three rows, and what verifying it says.
#[test]
fn verification_finds_the_first_row_that_is_wrong() {
    const UNLOCK: &str =
        "DROP TRIGGER audit_log_is_not_changed; DROP TRIGGER audit_log_is_not_shortened;";
    let broken = [
        ("DELETE FROM audit_log WHERE seq = 2", 2, "is missing"),
        ("DELETE FROM audit_log WHERE seq = 3", 3, "is missing"),
        ("DELETE FROM audit_log", 1, "is missing"),
        (
            "UPDATE audit_log SET message = 'other' WHERE seq = 2",
            2,
            "was changed, or the row before it was",
        ),
        (
            "UPDATE audit_log SET hash = zeroblob(32) WHERE seq = 1",
            1,
            "was changed, or the row before it was",
        ),
        (
            "UPDATE audit_state SET last_seq = 2",
            3,
            "was added by another program",
        ),
        (
            "UPDATE audit_state SET last_hash = zeroblob(32)",
            3,
            "was changed",
        ),
    ];
    for (tampering, seq, what) in broken {
        let directory = TempDir::new().unwrap();
        let store = open(directory.path());
        let events = ["1", "2", "3"].map(event).to_vec();
        commit(&store, Vec::new(), events).unwrap();
        let path = directory.path().join(DATABASE);
        let verify = || AuditLog::open(directory.path()).unwrap().verify().unwrap();
        let whole = verify();
        let last: String = ask(
            &path,
            "SELECT lower(hex(hash)) FROM audit_log WHERE seq = 3",
        );
        match &whole {
            Verified::Whole { rows, hash } => assert_eq!((*rows, hex(hash)), (3, last)),
            Verified::Broken { .. } => panic!("{whole:?}"),
        }
        tamper(&path, &format!("{UNLOCK} {tampering}"));
        assert_eq!(verify(), Verified::Broken { seq, what }, "{tampering}");
    }
}

#[test]
fn log_of_an_unusable_database_is_refused() {
    let (directory, path) = made();
    let empty = AuditLog::open(directory.path()).unwrap().verify().unwrap();
    assert_eq!(
        empty,
        Verified::Whole {
            rows: 0,
            hash: [0; 32]
        }
    );
    tamper(&path, "DELETE FROM audit_state");
    let log = AuditLog::open(directory.path()).unwrap();
    assert!(matches!(log.chain(), Err(StoreError::Damaged { .. })));
    assert!(matches!(log.verify(), Err(StoreError::Damaged { .. })));
    assert!(matches!(
        log.delivery_status(),
        Err(StoreError::Damaged { .. })
    ));
    drop(log);
    tamper(&path, "PRAGMA application_id = 1");
    let error = AuditLog::open(directory.path()).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    let missing = directory.path().join("missing");
    assert!(AuditLog::open(&missing).is_err());
}

// Delivery.

fn status(directory: &Path) -> DeliveryStatus {
    AuditLog::open(directory)
        .unwrap()
        .delivery_status()
        .unwrap()
}

fn undelivered(store: &Store, most: u32) -> Vec<i64> {
    let rows = wait(store.undelivered(most)).unwrap();
    rows.iter().map(|row| row.seq).collect()
}

#[test]
fn queue_begins_when_delivery_is_first_enabled_and_goes_on_after_that() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    commit(&store, Vec::new(), vec![event("1"), event("2")]).unwrap();
    assert!(!status(directory.path()).configured);
    assert_eq!(status(directory.path()).waiting, 0);
    wait(store.set_delivering(true)).unwrap();
    assert_eq!(undelivered(&store, 10), [0_i64; 0]);
    commit(&store, Vec::new(), vec![event("3"), event("4")]).unwrap();
    // A restart with an audit server loses nothing.
    wait(store.set_delivering(true)).unwrap();
    assert_eq!(undelivered(&store, 10), [3, 4]);
    assert_eq!(undelivered(&store, 1), [3]);
    wait(store.set_delivered(vec![3])).unwrap();
    assert_eq!(undelivered(&store, 10), [4]);
    let expected = DeliveryStatus {
        rows: 4,
        configured: true,
        delivered: 3,
        waiting: 1,
        set_aside: Vec::new(),
    };
    assert_eq!(status(directory.path()), expected);
    wait(store.set_delivering(false)).unwrap();
    let found = status(directory.path());
    assert_eq!((found.configured, found.waiting), (false, 0));
}

#[test]
fn rows_set_aside_are_passed_over_until_they_are_to_be_sent_again() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    wait(store.set_delivering(true)).unwrap();
    let events = ["1", "2", "3", "4", "5"].map(event).to_vec();
    commit(&store, Vec::new(), events).unwrap();
    // With nothing set aside, nothing is sent again or recorded.
    assert_eq!(wait(store.send_again(caller())).unwrap(), 0);
    wait(store.wait_for_resend());
    assert_eq!(status(directory.path()).rows, 5);
    wait(store.set_delivered(vec![1])).unwrap();
    wait(store.set_aside(2)).unwrap();
    assert_eq!(undelivered(&store, 10), [3, 4, 5]);
    assert_eq!(status(directory.path()).set_aside, [(2, false)]);
    assert!(store.wait_for_resend().now_or_never().is_none());
    assert_eq!(wait(store.send_again(caller())).unwrap(), 1);
    wait(store.wait_for_resend());
    assert_eq!(undelivered(&store, 10), [2, 3, 4, 5, 6]);
    assert_eq!(undelivered(&store, 2), [2, 3]);
    // Rejected again, and another one with it.
    wait(store.set_aside(2)).unwrap();
    wait(store.set_aside(3)).unwrap();
    assert_eq!(status(directory.path()).set_aside, [(2, false), (3, false)]);
    assert_eq!(wait(store.send_again(caller())).unwrap(), 2);
    wait(store.set_delivered(vec![2, 3])).unwrap();
    let found = status(directory.path());
    assert_eq!((found.delivered, found.waiting), (3, 4));
    assert!(found.set_aside.is_empty());
    assert_eq!(
        messages(directory.path())[5..],
        [
            "Requested that 1 event be resent to the audit server.",
            "Requested that 2 events be resent to the audit server."
        ]
    );
}

#[test]
fn delivery_wakes_up_for_an_event_and_for_nothing_else() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    commit(&store, vec![Change::PutUser(user(1, "ada"))], Vec::new()).unwrap();
    assert!(store.wait_for_event().now_or_never().is_none());
    commit(&store, Vec::new(), vec![event("1")]).unwrap();
    wait(store.wait_for_event());
    assert!(store.wait_for_event().now_or_never().is_none());
}

// Refusals.

#[test]
fn refusals_beyond_the_limit_are_counted_and_summed_up() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let refuse = || {
        let event = event("own").refused(RefusalKind::WrongPassword);
        commit(&store, Vec::new(), vec![event]).unwrap();
    };
    for _ in 0..20 {
        refuse();
    }
    assert_eq!(wait(store.sum_up_refusals()).unwrap(), None);
    assert!(store.wait_for_counted().now_or_never().is_none());
    refuse();
    wait(store.wait_for_counted());
    refuse();
    assert!(store.wait_for_counted().now_or_never().is_none());
    assert_eq!(messages(directory.path()).len(), 20);
    // The summary is due within the minute, and not yet.
    let due = wait(store.sum_up_refusals()).unwrap().unwrap();
    assert!(due > Duration::ZERO && due <= Duration::from_secs(60));
    assert_eq!(messages(directory.path()).len(), 20);
    wait(store.sum_up_all_refusals()).unwrap();
    assert_eq!(
        messages(directory.path())[20..],
        ["2 further logins were refused within a minute: wrong password."]
    );
    assert_eq!(wait(store.sum_up_refusals()).unwrap(), None);
}
