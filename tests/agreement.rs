//! The store's state in memory and on disk agree: after any changes, a reopened store has the state
//! that it had before. This fails if one of the store's SQL statements does nothing.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use auth_server::domain::change::Change;
use auth_server::domain::decision::Decision;
use auth_server::domain::directory::{Directory, DirectoryId, Groups, Kind, Names};
use auth_server::domain::passwords::{Password, PasswordHash};
use auth_server::domain::scopes::Scopes;
use auth_server::domain::settings::{Settings, SettingsPatch, Value, SETTINGS};
use auth_server::domain::state::State;
use auth_server::domain::time::Moment;
use auth_server::domain::tokens::{
    AccessToken, HandleDigest, RefreshToken, Session, SessionId, TokenDigest,
};
use auth_server::domain::users::source::OfDirectory;
use auth_server::domain::users::{AccountType, FormerUsername, ResetPasswordReason, User, UserId};
use auth_server::store::Store;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Random input for a change: its kind, the id of a user, the offset of a session id, and a salt for
/// all other values.
type Seed = (u8, i64, i64, u32);

/// Returns a user whose fields depend on `salt`.
fn user(id: i64, salt: u32) -> User {
    let reasons = [
        ResetPasswordReason::None,
        ResetPasswordReason::FirstTimeLogin,
        ResetPasswordReason::AdminForced,
    ];
    // The directory manages the password of its users, and has no service accounts.
    let is_of_directory = salt % 4 != 3 && salt % 3 == 0 && salt % 2 == 0;
    User {
        id: UserId(id),
        username: format!("user{id}{}", if salt % 2 == 0 { "" } else { "x" }),
        full_name: format!("Full Name {salt}"),
        account_type: AccountType::ALL[salt as usize % 4],
        password: PasswordHash::from_phc(format!(
            "$argon2id$v=19$m=8,t=1,p=1${salt:0>12}$AAAAAAAAAAAAAAAAAAAAAA"
        )),
        password_set_at: Moment(i64::from(salt)),
        temporary_password: salt % 3 == 0 && !is_of_directory,
        stored_reason: reasons[salt as usize % 3],
        locked_by_admin: salt % 5 == 0,
        failed_logins: salt % 7,
        last_failed_login: (salt % 7 > 0).then_some(Moment(i64::from(salt) + 1)),
        directory: is_of_directory.then(|| OfDirectory {
            id: DirectoryId::from_text(format!("{id:032x}")).unwrap(),
            looked_up: Moment(i64::from(salt) + 2),
            confirmed: (salt % 5 > 0).then_some(Moment(i64::from(salt) + 3)),
        }),
    }
}

/// Returns settings that depend on `salt`.
fn settings(salt: u32) -> Settings {
    let mut patch = SettingsPatch::default();
    let values = [
        Value::Integer(1 + salt % 100),
        Value::Duration(Duration::from_secs(86_400 + u64::from(salt % 1000))),
        Value::Integer(1 + salt % 50),
        Value::Boolean(salt % 2 == 0),
        Value::Duration(Duration::from_millis(1_000 + u64::from(salt % 5_000))),
        Value::Boolean(salt % 3 == 0),
        Value::Boolean(salt % 5 == 0),
        Value::Boolean(salt % 7 == 0),
    ];
    for (number, (setting, value)) in SETTINGS.iter().zip(values).enumerate() {
        let null = setting.nullable && salt as usize % 11 == number;
        patch.add(setting, if null { Value::Null } else { value });
    }
    patch.applied_to(&Settings::default()).unwrap()
}

/// Returns the configuration of a directory that depends on `salt`.
fn directory(salt: u32) -> Directory {
    let name = |kind: &str| format!("cn={kind}{salt},dc=lab,dc=example");
    Directory {
        kind: [Kind::ActiveDirectory, Kind::Ldap][salt as usize % 2],
        servers: vec![format!("ldaps://dc{salt}.lab.example"); 1 + salt as usize % 5],
        ca: format!("-----BEGIN CERTIFICATE-----\nMA{salt:010}==\n-----END CERTIFICATE-----\n"),
        base: name("base"),
        names: match salt % 6 {
            // Active Directory alone has these.
            2 | 4 => Names::UpnSuffix(format!("lab{salt}.example")),
            _ => Names::Filter(format!("(uid{salt}={{name}})")),
        },
        bind_name: name("robot"),
        bind_password: Password::new(format!("bind {salt}")),
        full_name_attribute: format!("cn-{salt}"),
        groups: Groups {
            admins: vec![name("admins"); salt as usize % 4],
            users: vec![name("users")],
            auditors: vec![name("auditors"); salt as usize % 7],
        },
        offline_days: salt % 91,
        max_wrong_passwords: 1 + salt % 3,
    }
}

/// Returns one of four token digests.
fn digest(salt: u32) -> TokenDigest {
    TokenDigest::of(&(salt % 4).to_string())
}

/// Returns the change for a seed, or `None` if it does not apply to the state: a session needs its
/// user, and a token its session.
fn change(state: &State, (kind, id, other, salt): Seed) -> Option<Change> {
    // A new session gets the next id; other changes refer to one of the latest sessions.
    let user_id = UserId(id);
    let session = SessionId(state.next_session().0 - other);
    let has_user = state.user(user_id).is_some();
    let has_session = state.session(session).is_some();
    let taken = |name: &str| {
        state
            .user_named(name)
            .is_some_and(|found| found.id != user_id)
    };
    match kind {
        0 => Some(user(id, salt))
            .filter(|user| !taken(&user.username))
            .map(Change::PutUser),
        1 => Some(Change::DeleteUser(user_id)),
        2 => Some(Change::PutSettings(settings(salt))),
        3 => Some(Change::SetAccessControl(salt % 2 == 0)),
        4 => has_user.then_some(Change::PutSession(Session {
            id: state.next_session(),
            user: user_id,
            grant: Scopes::from_bits(salt),
            expires: Moment(i64::from(salt)),
        })),
        5 => state.session(session).map(|found| {
            Change::PutSession(Session {
                expires: Moment(i64::from(salt)),
                ..found.clone()
            })
        }),
        6 => Some(Change::EndSession(session)),
        7 => Some(Change::EndSessionsOf {
            user: user_id,
            except: (salt % 2 == 0).then_some(session),
        }),
        8 => Some(Change::EndAllSessions {
            except: (salt % 2 == 0).then_some(session),
        }),
        9 => (has_session && state.access_token(&digest(salt)).is_none()).then_some(
            Change::PutAccessToken(
                digest(salt),
                AccessToken {
                    session,
                    scopes: Scopes::from_bits(salt),
                    issued: Moment(1),
                    expires: Moment(i64::from(salt)),
                },
            ),
        ),
        10 => match state.refresh_token(&digest(salt)) {
            Some(token) if state.session(token.session).is_some() => Some(Change::PutRefreshToken(
                digest(salt),
                RefreshToken {
                    superseded: Some(Moment(i64::from(salt))),
                    ..*token
                },
            )),
            Some(_) => None,
            None => has_session.then_some(Change::PutRefreshToken(
                digest(salt),
                RefreshToken {
                    session,
                    expires: Moment(i64::from(salt)),
                    superseded: None,
                },
            )),
        },
        11 => Some(Change::ForgetAccessTokens(vec![digest(salt)])),
        12 => Some(Change::ForgetRefreshTokens(vec![digest(salt)])),
        13 => has_session.then_some(Change::PutHandle(HandleDigest(digest(salt)), session)),
        14 => Some(Change::PutDirectory(
            (salt % 4 > 0).then(|| Arc::new(directory(salt))),
        )),
        _ => Some(Change::PutFormerUsername(FormerUsername::of(&user(
            id, salt,
        )))),
    }
}

/// Returns kinds of changes: those that add something are more frequent, so that there is something
/// to remove.
fn kind() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0_u8), 6 => Just(4), 4 => Just(9), 8 => Just(10), 15 => 0..16_u8]
}

/// Applies the changes of `seeds` to a store, and compares its state, before and after reopening it,
/// with the expected one. Adds each kind of change that had an effect to `made`.
fn check(seeds: Vec<Seed>, made: &mut BTreeSet<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (mut before, mut expected) = (State::default(), State::default());
    runtime.block_on(async {
        let store = Store::open(directory.path(), |_, _| {}).unwrap();
        for seed in seeds {
            let Some(change) = change(&expected, seed) else {
                continue;
            };
            expected.apply(change.clone());
            if !expected.holds_the_same_as(&before) {
                made.insert(seed.0);
                before.apply(change.clone());
            }
            let decision = Decision {
                changes: vec![change],
                events: Vec::new(),
                reply: (),
            };
            let decided: Result<(), Infallible> =
                store.write(move |_, _| Ok(decision)).await.unwrap();
            assert!(decided.is_ok());
        }
        assert!(
            store.read(|state, _| state.holds_the_same_as(&expected)),
            "the state in memory differs"
        );
    });
    let again = Store::open(directory.path(), |_, _| {}).unwrap();
    assert!(
        again.read(|state, _| state.holds_the_same_as(&expected)),
        "the state on disk differs"
    );
}

#[test]
fn reopened_store_has_the_same_state() {
    let config = ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seed = (kind(), 1..4_i64, 1..4_i64, any::<u32>());
    let seeds = prop::collection::vec(seed, 1..120);
    let made = RefCell::new(BTreeSet::new());
    let outcome = TestRunner::new(config).run(&seeds, |seeds| {
        check(seeds, &mut made.borrow_mut());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(made.into_inner(), (0..16).collect());
}
