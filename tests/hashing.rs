//! Password hashes: which are ours, what an unknown user's is like, when a stored one is replaced,
//! and what happens to logins that are too many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use auth_server::domain::audit::Origin;
use auth_server::domain::authority::Request;
use auth_server::domain::change::Change;
use auth_server::domain::decision::Decision;
use auth_server::domain::passwords::{Password, PasswordHash};
use auth_server::domain::sessions::LoginOutcome;
use auth_server::domain::settings::{Setting, SettingsPatch, Value};
use auth_server::domain::users::{AccountType, UserId};
use auth_server::service::hashing::{HashError, Hasher};
use auth_server::service::{Service, ServiceError};
use auth_server::store::Store;
use tempfile::TempDir;

const PASSWORD: &str = "correct-horse";

/// Keeps the tests of this file apart, because one of them counts threads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes [`PASSWORD`] with these parameters.
fn hash(algorithm: Algorithm, version: Version, m: u32, t: u32, p: u32) -> PasswordHash {
    let argon2 = Argon2::new(algorithm, version, Params::new(m, t, p, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    let hash = argon2.hash_password(PASSWORD.as_bytes(), &salt).unwrap();
    PasswordHash::from_phc(hash.to_string())
}

/// Returns a malformed hash, or one that was not computed, with these parameters.
fn stated(params: &str) -> PasswordHash {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    PasswordHash::from_phc(format!("$argon2id$v=19${params}${salt}${output}"))
}

fn weak() -> PasswordHash {
    hash(Algorithm::Argon2id, Version::V0x13, 8, 1, 1)
}

/// Service with the user `ada`, who has [`PASSWORD`].
struct Robot {
    service: Service,
    _directory: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Robot {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path(), |_, _| {}).unwrap();
        let robot = Self {
            service: Service::new(Arc::new(store), Arc::new(Hasher::start().unwrap())),
            _directory: directory,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        };
        let created = robot.runtime.block_on(robot.service.create_user(
            console(),
            "ada".into(),
            "Ada L".into(),
            AccountType::User,
            Some(Password::new(PASSWORD.into())),
        ));
        assert!(created.unwrap().1.is_none());
        robot
    }

    fn hash(&self) -> PasswordHash {
        let store = self.service.store();
        store.read(|state, _| state.user(UserId(1)).unwrap().password.clone())
    }

    fn set_hash(&self, hash: PasswordHash) {
        let written = self.service.store().write(move |state, _| {
            let mut user = state.user(UserId(1)).unwrap().clone();
            user.password = hash;
            Ok::<_, ()>(Decision {
                changes: vec![Change::PutUser(user)],
                events: Vec::new(),
                reply: (),
            })
        });
        assert_eq!(self.runtime.block_on(written).unwrap(), Ok(()));
    }

    fn log_in(&self, username: &str, password: &str) -> Result<bool, ServiceError> {
        let password = Password::new(password.into());
        let by = Request::open(None, None);
        let done = self.service.log_in(by, username, password, None);
        self.runtime
            .block_on(done)
            .map(|outcome| matches!(outcome, LoginOutcome::Granted(_)))
    }
}

fn console() -> Request {
    Request::console("pi".into(), None)
}

#[test]
fn only_a_hash_with_the_parameters_of_new_ones_is_ours() {
    let _alone = alone();
    let (kind, version) = (Algorithm::Argon2id, Version::V0x13);
    assert!(Hasher::is_ours(&hash(kind, version, 19 * 1024, 2, 1)));
    assert!(Hasher::is_ours(&Robot::new().hash()));
    for other in [
        hash(Algorithm::Argon2i, version, 19 * 1024, 2, 1),
        hash(kind, Version::V0x10, 19 * 1024, 2, 1),
        hash(kind, version, 19 * 1024 + 8, 2, 1),
        hash(kind, version, 19 * 1024, 3, 1),
        hash(kind, version, 19 * 1024, 2, 2),
        stated("m=262145,t=2,p=1"),
        PasswordHash::from_phc("malformed".into()),
    ] {
        assert!(!Hasher::is_ours(&other), "{}", other.as_phc());
    }
}

/// The hash of nobody takes as long as that of somebody, unless that one is beyond the limits.
#[test]
fn hash_of_nobody_is_like_the_one_of_somebody() {
    let params = |like: Option<&PasswordHash>| {
        let hash = Hasher::nobodys(like);
        hash.as_phc().split('$').nth(3).unwrap().to_owned()
    };
    let ours = "m=19456,t=2,p=1";
    assert_eq!(params(None), ours);
    for within in [
        "m=8,t=1,p=1",
        "m=262144,t=1,p=1",
        "m=8,t=16,p=1",
        "m=1024,t=1,p=16",
    ] {
        assert_eq!(params(Some(&stated(within))), within);
    }
    for beyond in [
        "m=262145,t=1,p=1",
        "m=8,t=17,p=1",
        "m=1024,t=1,p=17",
        "m=x,t=1,p=1",
    ] {
        assert_eq!(params(Some(&stated(beyond))), ours, "{beyond}");
    }
}

#[test]
fn the_same_account_stands_in_for_a_name_and_each_for_some() {
    let _alone = alone();
    let hasher = Hasher::start().unwrap();
    assert_eq!(hasher.stand_in("eve", 0), None);
    assert_eq!(hasher.stand_in("eve", 1), Some(0));
    let mut seen = [false; 4];
    for number in 0..200 {
        let name = format!("eve{number}");
        let index = hasher.stand_in(&name, seen.len()).unwrap();
        assert_eq!(hasher.stand_in(&name, seen.len()), Some(index));
        seen[index] = true;
    }
    assert_eq!(seen, [true; 4]);
}

#[test]
fn right_password_replaces_a_hash_that_is_not_ours() {
    let _alone = alone();
    let robot = Robot::new();
    let first = robot.hash();
    // One that is ours stays.
    assert!(robot.log_in("ada", PASSWORD).unwrap());
    assert!(robot.hash() == first);
    robot.set_hash(weak());
    assert!(!robot.log_in("ada", "wrong").unwrap());
    assert!(robot.hash() == weak());
    assert!(robot.log_in("ada", PASSWORD).unwrap());
    let replaced = robot.hash();
    assert!(Hasher::is_ours(&replaced));
    // With another salt than before.
    assert!(replaced != first);
    assert!(robot.log_in("ada", PASSWORD).unwrap());
    assert!(robot.hash() == replaced);
}

#[test]
fn hash_that_cannot_be_verified_matches_no_password() {
    let _alone = alone();
    let robot = Robot::new();
    for bad in [
        PasswordHash::from_phc(PASSWORD.into()),
        stated("m=262145,t=1,p=1"),
        stated("m=8,t=17,p=1"),
    ] {
        robot.set_hash(bad);
        assert!(!robot.log_in("ada", PASSWORD).unwrap());
    }
    assert!(!robot.log_in("eve", PASSWORD).unwrap());
}

#[test]
fn logins_that_are_too_many_are_sent_away_and_the_others_answered() {
    let _alone = alone();
    let robot = Robot::new();
    let logins = (0..200).map(|number| {
        let by = Request::open(None, None);
        let password = Password::new(format!("wrong {number}"));
        let service = robot.service.clone();
        async move { service.log_in(by, "eve", password, None).await }
    });
    let outcomes = robot
        .runtime
        .block_on(futures_util::future::join_all(logins));
    let mut busy = 0;
    for outcome in outcomes {
        match outcome {
            Ok(LoginOutcome::Refused { .. }) => {}
            Err(ServiceError::Hash(HashError::Busy)) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    // At most 32 wait, and some were answered meanwhile.
    assert!((1..=168).contains(&busy), "{busy}");
}

#[test]
fn threads_end_with_their_hasher() {
    let _alone = alone();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
        };
        let names = tasks.map(name);
        names.filter(|name| name.starts_with("argon2-")).count()
    };
    // Those of the other tests may still be ending.
    let until = |number| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while threads() != number {
            assert!(
                std::time::Instant::now() < deadline,
                "{} threads",
                threads()
            );
            std::thread::yield_now();
        }
    };
    until(0);
    let hasher = Hasher::start().unwrap();
    until(2);
    drop(hasher);
    until(0);
}

#[test]
fn settings_are_those_that_were_set() {
    let _alone = alone();
    let robot = Robot::new();
    let mut patch = SettingsPatch::default();
    let attempts = Setting::named("maxNumberOfLoginAttempts").unwrap();
    patch.add(attempts, Value::Integer(7));
    let done = robot.service.patch_settings(console(), patch);
    assert_eq!(
        robot.runtime.block_on(done).unwrap().max_login_attempts,
        Some(7)
    );
    assert_eq!(robot.service.settings().max_login_attempts, Some(7));
    let done = robot.service.reset_settings(console());
    robot.runtime.block_on(done).unwrap();
    assert_eq!(robot.service.settings().max_login_attempts, Some(5));
    let caller = robot.service.authorize(&console()).unwrap();
    assert_eq!(caller.origin, Origin::Console);
}
