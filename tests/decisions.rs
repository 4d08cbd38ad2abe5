//! Decisions of the rules: what each request changes, what the audit log says of it, and which rule
//! refuses it. Together with the property tests in `rules.rs`, which check what holds always.

use std::time::Duration;

use auth_server::domain::access_control;
use auth_server::domain::audit::{Event, Origin, RefusalKind};
use auth_server::domain::authority::{Caller, Credential, Need, PrincipalId, Request};
use auth_server::domain::change::Change;
use auth_server::domain::decision::{Context, Decision, Priority};
use auth_server::domain::error::{Field, RuleError, TokenFault, Unauthorized};
use auth_server::domain::issue::{Issued, MAX_TOKENS, REFRESH_GRACE};
use auth_server::domain::passwords::{Comparison, NewPassword, Password, PasswordHash};
use auth_server::domain::random::Random;
use auth_server::domain::refusals::Refusals;
use auth_server::domain::scopes::{Scope, Scopes};
use auth_server::domain::sessions::{
    log_in, refresh, revoke, Attempt, LoginOutcome, RefreshOutcome,
};
use auth_server::domain::settings::{self, Setting, Settings, SettingsPatch, Value};
use auth_server::domain::state::State;
use auth_server::domain::time::{whole_seconds, Moment};
use auth_server::domain::tokens::{
    AccessToken, HandleDigest, Presented, RefreshToken, Session, SessionId, Token, TokenDigest,
};
use auth_server::domain::users::profile::Profile;
use auth_server::domain::users::rules::{self, NewUser, UserPatch};
use auth_server::domain::users::Failed;
use auth_server::domain::users::{
    check_username, readable_full_name, AccountType, FormerUsername, ResetPasswordReason, User,
    UserId,
};

use AccountType::{Admin, Auditor, Service};

const NOW: Moment = Moment(1_000_000_000);

/// Returns a moment that is some milliseconds after [`NOW`].
fn after(milliseconds: i64) -> Moment {
    Moment(NOW.0 + milliseconds)
}

/// Bytes that are given out in turn, in place of random ones.
struct Script(Vec<u8>);

impl Random for Script {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.remove(0);
        }
    }
}

/// Source that counts.
struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 += 1;
        bytes.fill(self.0);
    }
}

fn user(id: i64, name: &str, account_type: AccountType) -> User {
    User {
        id: UserId(id),
        username: name.into(),
        full_name: format!("{name} L"),
        account_type,
        password: PasswordHash::from_phc(format!("hash of {name}")),
        password_set_at: NOW,
        temporary_password: false,
        stored_reason: ResetPasswordReason::None,
        locked_by_admin: false,
        failed_logins: 0,
        last_failed_login: None,
        directory: None,
    }
}

/// Returns a state with these users, whose ids are counted from 1.
fn state(users: &[(&str, AccountType)]) -> State {
    let mut state = State::default();
    for (id, (name, account_type)) in (1..).zip(users) {
        state.apply(Change::PutUser(user(id, name, *account_type)));
    }
    state
}

/// Returns a state with the administrator `root` and the user `ada`.
fn usual() -> State {
    state(&[("root", Admin), ("ada", AccountType::User)])
}

fn change(state: &mut State, name: &str, change: impl FnOnce(&mut User)) {
    let mut user = state.user_named(name).unwrap().clone();
    change(&mut user);
    state.apply(Change::PutUser(user));
}

fn apply<T>(state: &mut State, decision: Decision<T>) -> T {
    for change in decision.changes {
        state.apply(change);
    }
    decision.reply
}

fn set(state: &mut State, name: &str, value: Value) {
    let mut patch = SettingsPatch::default();
    patch.add(Setting::named(name).unwrap(), value);
    let settings = patch.applied_to(state.settings()).unwrap();
    state.apply(Change::PutSettings(settings));
}

fn caller() -> Caller {
    Caller::anonymous(Origin::Http, Some("because".into()))
}

/// Returns the caller who is the user with this id, in the session with the same number.
fn as_user(id: i64) -> Caller {
    Caller {
        principal: Some(PrincipalId {
            user: UserId(id),
            session: SessionId(id),
        }),
        ..caller()
    }
}

/// Returns the only event: its action and message.
fn said(events: &[Event]) -> (&str, &str) {
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].reason.as_deref(), Some("because"));
    (&events[0].action, &events[0].message)
}

/// Returns the user that the changes store.
fn stored(changes: &[Change]) -> &User {
    let mut found = changes.iter().filter_map(|change| match change {
        Change::PutUser(user) => Some(user),
        _ => None,
    });
    let user = found.next().expect("a user is stored");
    assert!(found.next().is_none(), "several users are stored");
    user
}

/// Returns whether the changes end all sessions of the user with this id, and only those.
fn ends_all_of(changes: &[Change], id: i64) -> bool {
    changes.iter().any(
        |change| matches!(change, Change::EndSessionsOf { user, except: None } if user.0 == id),
    )
}

fn ends_any(changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        matches!(
            change,
            Change::EndSession(_) | Change::EndSessionsOf { .. } | Change::EndAllSessions { .. }
        )
    })
}

fn new_password(text: &str) -> NewPassword {
    NewPassword {
        traits: Password::new(text.into()).traits(),
        comparison: None,
    }
}

const LONG: &str = "long-enough";

// Names and passwords.

#[test]
fn username_consists_of_what_the_touchscreen_can_type() {
    let twenty = "a".repeat(20);
    for good in [
        "a",
        "A-z_0.9",
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_{|}~",
        "一龿",
        "..a",
        &twenty,
    ] {
        let good: String = good.chars().take(20).collect();
        assert_eq!(check_username(&good), Ok(()), "{good}");
    }
    let invalid = RuleError::UsernameContainsInvalidCharacters;
    let field = Field::Username;
    let refused = [
        ("", RuleError::Empty { field }),
        (&*"a".repeat(21), RuleError::TooLong { field, most: 20 }),
        (&*"一".repeat(21), RuleError::TooLong { field, most: 20 }),
        ("a b", invalid.clone()),
        ("a`", invalid.clone()),
        ("é", invalid.clone()),
        ("㐀", invalid.clone()),
        ("ꀀ", invalid.clone()),
        ("a\n", invalid.clone()),
        (".", invalid.clone()),
        ("..", invalid),
    ];
    for (bad, error) in refused {
        assert_eq!(check_username(bad), Err(error), "{bad}");
    }
}

#[test]
fn full_name_is_trimmed_and_can_be_seen() {
    for (name, readable) in [
        ("Ada", "Ada"),
        ("  Ada King \t", "Ada King"),
        ("Å`é一", "Å`é一"),
        ("e\u{301}", "e\u{301}"),
        (&*"é".repeat(256), &*"é".repeat(256)),
    ] {
        assert_eq!(readable_full_name(name).as_deref(), Ok(readable));
    }
    let field = Field::FullName;
    let empty = || RuleError::Empty { field };
    let invisible = || RuleError::FullNameContainsInvalidCharacters;
    for (name, error) in [
        ("", empty()),
        (" \t\n ", empty()),
        ("\u{301}", empty()),
        ("\u{115f}\u{1160}\u{2800}\u{3164}\u{ffa0}", empty()),
        ("\u{3164} \u{301}", empty()),
        (&*"x".repeat(257), RuleError::TooLong { field, most: 256 }),
        // One of each category: Cc, Cf, Zl, Zp, Co and Cn.
        ("a\u{7}b", invisible()),
        ("a\u{202e}b", invisible()),
        ("a\u{2028}b", invisible()),
        ("a\u{2029}b", invisible()),
        ("a\u{e000}b", invisible()),
        ("a\u{378}b", invisible()),
    ] {
        assert_eq!(readable_full_name(name), Err(error), "{name:?}");
    }
}

#[test]
fn password_has_between_one_and_1024_characters() {
    let check = |text: &str| Password::new(text.into()).check();
    let field = Field::Password;
    assert_eq!(check(""), Err(RuleError::Empty { field }));
    assert_eq!(check("x"), Ok(()));
    assert_eq!(check(&"é".repeat(1024)), Ok(()));
    let most = 1024;
    assert_eq!(
        check(&"é".repeat(1025)),
        Err(RuleError::TooLong { field, most })
    );
    assert_eq!(
        check(&"x".repeat(2000)),
        Err(RuleError::TooLong { field, most })
    );
}

#[test]
fn password_policy_lists_all_that_is_wrong() {
    use RuleError::{
        PasswordContainsInvalidCharacters as Untypable, PasswordMissingSpecialCharacters as Plain,
    };
    let short = |required, actual| RuleError::PasswordTooShort { required, actual };
    let rows = [
        // Minimum length, whether punctuation is required, password, and faults.
        (None, None, "12345678", vec![]),
        (None, None, "1234567", vec![short(8, 7)]),
        (None, Some(false), "1234567 ", vec![]),
        (Some(3), None, "一二三", vec![]),
        (Some(3), None, "ab", vec![short(3, 2)]),
        (Some(3), Some(true), "abc", vec![Plain]),
        (Some(3), Some(true), "a`c", vec![Untypable]),
        (Some(3), Some(true), "a-c", vec![]),
        (
            Some(3),
            Some(true),
            "é",
            vec![short(3, 1), Plain, Untypable],
        ),
        (Some(3), None, "a\tb", vec![Untypable]),
    ];
    for (least, special, text, faults) in rows {
        let settings = Settings {
            password_minimum_length: least,
            password_special_characters: special,
            ..Settings::default()
        };
        let traits = Password::new(text.into()).traits();
        assert_eq!(traits.faults(&settings), faults, "{text}");
        let checked = new_password(text).check(&settings, None);
        let expected = match faults.is_empty() {
            true => Ok(()),
            false => Err(RuleError::Several(faults)),
        };
        assert_eq!(checked, expected, "{text}");
    }
}

#[test]
fn new_password_differs_from_the_one_that_it_was_compared_with() {
    let current = PasswordHash::from_phc("current".into());
    let compared = |same| NewPassword {
        comparison: Some(Comparison {
            with: current.clone(),
            same,
        }),
        ..new_password(LONG)
    };
    let settings = Settings::default();
    assert_eq!(compared(false).check(&settings, Some(&current)), Ok(()));
    let used = RuleError::Several(vec![RuleError::PasswordPreviouslyUsed]);
    assert_eq!(compared(true).check(&settings, Some(&current)), Err(used));
    let other = PasswordHash::from_phc("other".into());
    for same in [false, true] {
        assert_eq!(
            compared(same).check(&settings, Some(&other)),
            Err(RuleError::PasswordReplacedMeanwhile)
        );
    }
}

/// A byte that would make some characters more likely than others is thrown away: 224 and more for
/// the 56 letters and digits, 253 and more for the 11 punctuation characters.
#[test]
fn temporary_password_has_fair_letters_and_one_punctuation_character_in_the_middle() {
    let mut script = Script(vec![
        0, 55, 56, 57, 223, 224, 255, 1, /* punctuation */ 253, 255, 252, 2, 3, 4, 5, 6,
    ]);
    let password = Password::temporary(&Settings::default(), &mut script);
    assert_eq!(password.expose(), "a9ab9b@cdefg");
    assert!(script.0.is_empty());
    let mut script = Script((0..20).collect());
    let settings = Settings {
        password_minimum_length: Some(20),
        ..Settings::default()
    };
    let password = Password::temporary(&settings, &mut script);
    assert_eq!(password.expose(), "abcdef+hijkmnpqrstuv");
}

// Texts.

#[test]
fn refusal_of_a_token_says_why() {
    let said = |fault| {
        let refused = Unauthorized {
            fault,
            required: Scopes::NONE,
            provided: Scopes::NONE,
        };
        refused.to_string()
    };
    assert!(said(TokenFault::Missing).contains("exactly one bearer token"));
    assert!(said(TokenFault::Invalid).contains("unknown, expired or revoked"));
    assert!(said(TokenFault::InsufficientScope).contains("lacks scopes"));
}

#[test]
fn error_names_the_field() {
    let said = |field| RuleError::Empty { field }.to_string();
    assert_eq!(said(Field::Username), "username must not be empty");
    assert_eq!(said(Field::FullName), "fullName must not be empty");
    assert_eq!(said(Field::Password), "password must not be empty");
    assert_eq!(
        said(Field::Setting("idleLogout")),
        "idleLogout must not be empty"
    );
}

#[test]
fn scopes_are_named_and_sorted() {
    let scopes = Scopes::of(&[Scope::UsersWrite, Scope::RestartWrite]);
    assert_eq!(scopes.names(), ["restart.write", "users.write"]);
    assert_eq!(scopes.to_string(), "restart.write users.write");
    assert_eq!(format!("{scopes:?}"), "Scopes(restart.write users.write)");
    assert_eq!(Scopes::parse("users.write  restart.write"), Some(scopes));
    assert_eq!(Scopes::parse(""), Some(Scopes::NONE));
    assert_eq!(Scopes::parse("users.write none"), None);
}

/// Scopes that each type of account has, and which of them the settings give or take.
#[test]
fn scopes_follow_from_the_type_of_account_and_the_settings() {
    let usual = Settings::default();
    assert_eq!(Admin.scopes(&usual).names().len(), 17);
    assert_eq!(Service.scopes(&usual), Admin.scopes(&usual));
    assert_eq!(
        Auditor.scopes(&usual).names(),
        ["users.read.others", "users.read.self", "users.write.self"]
    );
    let least = [
        "audit_log.write",
        "protocol_analyses.write",
        "restart.write",
        "robot_control.write",
        "robot_settings.write",
        "users.read.self",
        "users.write.self",
    ];
    for (updates, protocols, signoff) in [
        (true, true, true),
        (false, true, true),
        (true, false, true),
        (true, true, false),
    ] {
        let settings = Settings {
            admin_for_software_updates: updates,
            admin_for_protocols: protocols,
            admin_for_signoff: signoff,
            ..Settings::default()
        };
        let mut expected = least.to_vec();
        for (needs_admin, name) in [
            (updates, "updates.write"),
            (protocols, "protocols.write"),
            (signoff, "run_signoff.write"),
        ] {
            expected.extend((!needs_admin).then_some(name));
        }
        expected.sort_unstable();
        assert_eq!(AccountType::User.scopes(&settings).names(), expected);
    }
}

#[test]
fn wait_is_rounded_up_to_whole_seconds() {
    for (milliseconds, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
        let wait = Duration::from_millis(milliseconds);
        assert_eq!(whole_seconds(wait), seconds);
    }
}

// Settings.

#[test]
fn setting_says_which_values_it_accepts() {
    let said = |name: &str, value| {
        let setting = Setting::named(name).unwrap();
        let mut settings = Settings::default();
        let error = setting.put(&mut settings, value).unwrap_err();
        assert_eq!(settings, Settings::default());
        error.to_string()
    };
    assert_eq!(
        said("maxNumberOfLoginAttempts", Value::Integer(0)),
        "maxNumberOfLoginAttempts: must be between 1 and 1000000, or null"
    );
    assert_eq!(
        said("idleLogout", Value::Duration(Duration::from_millis(999))),
        "idleLogout: must be between 1 and 604800 seconds"
    );
    assert_eq!(
        said("passwordComplexitySpecialCharacters", Value::Integer(1)),
        "passwordComplexitySpecialCharacters: must be true or false, or null"
    );
    assert_eq!(
        said("requireAdminCredsForSignoffProtocol", Value::Null),
        "requireAdminCredsForSignoffProtocol: must be true or false"
    );
}

/// The least and the greatest value of each setting with a range, and one beyond each.
#[test]
fn setting_accepts_its_bounds_and_nothing_beyond() {
    let seconds = |seconds: f64| Value::Duration(Duration::from_secs_f64(seconds));
    let rows = [
        (
            "maxNumberOfLoginAttempts",
            [0, 1, 1_000_000, 1_000_001].map(Value::Integer),
        ),
        (
            "passwordComplexityMinimumLength",
            [0, 1, 1024, 1025].map(Value::Integer),
        ),
        (
            "passwordResetTime",
            [86_399.999, 86_400.0, 3_155_760_000.0, 3_155_760_001.0].map(seconds),
        ),
        (
            "idleLogout",
            [0.999, 1.0, 604_800.0, 604_800.001].map(seconds),
        ),
    ];
    for (name, [below, least, most, above]) in rows {
        let setting = Setting::named(name).unwrap();
        for (value, accepted) in [(below, false), (least, true), (most, true), (above, false)] {
            let mut settings = Settings::default();
            let put = setting.put(&mut settings, value);
            assert_eq!(put.is_ok(), accepted, "{name} {value}");
            if accepted {
                assert_eq!(setting.value(&settings), value);
            }
        }
        assert_eq!(setting.nearest(below), least);
        assert_eq!(setting.nearest(above), most);
        assert_eq!(setting.nearest(most), most);
        // Values of another type.
        for other in [Value::Boolean(true), Value::Null] {
            assert_eq!(setting.nearest(other), other);
        }
        let put = setting.put(&mut Settings::default(), Value::Boolean(true));
        assert!(put.is_err());
        let put = setting.put(&mut Settings::default(), Value::Null);
        assert_eq!(put.is_ok(), setting.nullable);
    }
    assert!(Setting::named("none").is_none());
}

#[test]
fn change_of_settings_says_what_changed_from_what_to_what() {
    let state = usual();
    let mut patch = SettingsPatch::default();
    let minute = Value::Duration(Duration::from_secs(60));
    patch.add(Setting::named("idleLogout").unwrap(), minute);
    let attempts = Setting::named("maxNumberOfLoginAttempts").unwrap();
    patch.add(attempts, Value::Null);
    let decision = settings::rules::patch(&state, &caller(), &patch).unwrap();
    assert_eq!(
        said(&decision.events),
        (
            "edit CRS settings",
            "Changed settings: maxNumberOfLoginAttempts 5 → null, idleLogout 180.0 → 60.0."
        )
    );
    assert!(!ends_any(&decision.changes));
    assert_eq!(decision.changes.len(), 1);
    assert_eq!(decision.reply.idle_logout, Duration::from_secs(60));
    let mut state = usual();
    apply(&mut state, decision);
    let decision = settings::rules::reset(&state, &caller());
    assert_eq!(
        said(&decision.events),
        (
            "reset CRS settings",
            "Changed settings: maxNumberOfLoginAttempts null → 5, idleLogout 60.0 → 180.0."
        )
    );
    apply(&mut state, decision);
    // Nothing changes, and so nothing is said.
    let decision = settings::rules::reset(&state, &caller());
    assert!(decision.changes.is_empty() && decision.events.is_empty());
    assert_eq!(decision.reply, Settings::default());
}

#[test]
fn change_of_the_password_policy_requires_new_passwords_and_ends_all_sessions() {
    for (name, value) in [
        ("passwordComplexityMinimumLength", Value::Integer(9)),
        ("passwordComplexitySpecialCharacters", Value::Boolean(true)),
    ] {
        let mut state = usual();
        change(&mut state, "ada", |ada| {
            ada.stored_reason = ResetPasswordReason::FirstTimeLogin;
        });
        let mut patch = SettingsPatch::default();
        patch.add(Setting::named(name).unwrap(), value);
        let decision = settings::rules::patch(&state, &caller(), &patch).unwrap();
        let all = Change::EndAllSessions { except: None };
        assert_eq!(
            format!("{:?}", decision.changes.last().unwrap()),
            format!("{all:?}")
        );
        // A reason that is there already stays.
        let root = stored(&decision.changes);
        assert_eq!(root.username, "root");
        assert_eq!(root.stored_reason, ResetPasswordReason::AdminForced);
    }
}

// Access control.

#[test]
fn turning_access_control_on_names_who_can_do_what() {
    let state = state(&[
        ("root", Admin),
        ("ada", AccountType::User),
        ("amy", Admin),
        ("app", Service),
    ]);
    let decision = access_control::enable(&state, &as_user(1)).unwrap();
    assert_eq!(
        said(&decision.events),
        (
            "update CRS enabled",
            "Turned access control on. Administrators: \"amy\" (\"amy L\"), \"root\" (\"root L\"). \
             Service accounts: \"app\" (\"app L\")."
        )
    );
    assert!(matches!(
        decision.changes[..],
        [
            Change::SetAccessControl(true),
            Change::EndAllSessions {
                except: Some(SessionId(1))
            }
        ]
    ));
    let decision = access_control::enable(&usual(), &caller()).unwrap();
    assert!(said(&decision.events)
        .1
        .ends_with("Service accounts: none."));
}

#[test]
fn access_control_is_turned_on_and_off_once_and_only_with_an_administrator() {
    let mut state = state(&[("ada", AccountType::User), ("app", Service)]);
    let refused = access_control::enable(&state, &caller()).unwrap_err();
    assert_eq!(refused, RuleError::LastAdmin);
    let refused = access_control::disable(&state, &caller()).unwrap_err();
    assert_eq!(refused, RuleError::AccessControlAlreadyDisabled);
    let mut root = user(9, "root", Admin);
    root.locked_by_admin = true;
    state.apply(Change::PutUser(root));
    let refused = access_control::enable(&state, &caller()).unwrap_err();
    assert_eq!(refused, RuleError::LastAdmin);
    change(&mut state, "root", |root| root.locked_by_admin = false);
    let decision = access_control::enable(&state, &caller()).unwrap();
    apply(&mut state, decision);
    let refused = access_control::enable(&state, &caller()).unwrap_err();
    assert_eq!(refused, RuleError::AccessControlAlreadyEnabled);
    let decision = access_control::disable(&state, &caller()).unwrap();
    assert_eq!(
        said(&decision.events),
        ("disable CRS", "Turned access control off.")
    );
    apply(&mut state, decision);
    assert!(!state.access_control());
}

// Authorization.

/// Adds a session of the user with this id, with the same number, and an access token with these
/// scopes, and returns its digest.
fn token(state: &mut State, id: i64, scopes: Scopes, expires: Moment) -> TokenDigest {
    state.apply(Change::PutSession(Session {
        id: SessionId(id),
        user: UserId(id),
        grant: Scopes::UNBOUNDED,
        expires,
    }));
    let digest = TokenDigest::of(&format!("access {id}"));
    let token = AccessToken {
        session: SessionId(id),
        scopes,
        issued: NOW,
        expires,
    };
    state.apply(Change::PutAccessToken(digest, token));
    digest
}

#[test]
fn request_is_let_in_by_its_token_or_while_access_control_is_off() {
    let mut state = usual();
    let digest = token(&mut state, 2, Scopes::UNBOUNDED, after(1));
    let all = AccountType::User.scopes(state.settings());
    let ask = |state: &State, credential, need, now| {
        let request = Request {
            credential,
            need,
            reason: Some("because".into()),
            source: None,
        };
        request
            .resolve(state, now)
            .map(|caller| (caller.actor.account_name, caller.principal.is_some()))
            .map_err(|refused| (refused.fault, refused.required, refused.provided))
    };
    let (own, other) = (Scope::UsersReadSelf, Scope::UsersWrite);
    let server = || Ok(("opentrons-auth-server".to_owned(), false));
    let ada = || Ok(("ada".to_owned(), true));
    let refused = |fault, scope, provided| Err((fault, Scopes::of(&[scope]), provided));
    let none = || Credential::None;
    let presented = || Credential::Token(digest);
    for on in [false, true] {
        state.apply(Change::SetAccessControl(on));
        assert_eq!(ask(&state, none(), Need::Nothing, NOW), server());
        assert_eq!(
            ask(&state, Credential::Malformed, Need::Nothing, NOW),
            server()
        );
        assert_eq!(ask(&state, presented(), Need::Scope(own), NOW), ada());
        assert_eq!(ask(&state, presented(), Need::OwnScope(own), NOW), ada());
        assert_eq!(
            ask(&state, presented(), Need::Scope(other), NOW),
            refused(TokenFault::InsufficientScope, other, all)
        );
        // The token expires exactly then.
        assert_eq!(
            ask(&state, presented(), Need::Scope(own), after(1)),
            refused(TokenFault::Invalid, own, Scopes::NONE)
        );
        for credential in [none(), Credential::Malformed] {
            assert_eq!(
                ask(&state, credential, Need::OwnScope(own), NOW),
                refused(TokenFault::Missing, own, Scopes::NONE)
            );
        }
        let missing = refused(TokenFault::Missing, own, Scopes::NONE);
        assert_eq!(
            ask(&state, Credential::Malformed, Need::Scope(own), NOW),
            missing
        );
        let expected = if on { missing } else { server() };
        assert_eq!(ask(&state, none(), Need::Scope(own), NOW), expected);
    }
}

#[test]
fn caller_is_named_in_the_audit_log() {
    let mut state = usual();
    let digest = token(&mut state, 2, Scopes::UNBOUNDED, after(1));
    let request = Request {
        credential: Credential::Token(digest),
        need: Need::Scope(Scope::UsersReadSelf),
        reason: Some("because".into()),
        source: None,
    };
    let event = request
        .resolve(&state, NOW)
        .unwrap()
        .event("did", "It.".into());
    let expected = Event {
        action: "did".into(),
        account_name: "ada".into(),
        legal_name: "ada L".into(),
        message: "It.".into(),
        reason: Some("because".into()),
        origin: Some(Origin::Http),
        refusal: None,
    };
    assert_eq!(event, expected);
    let console = Request::console("pi".into(), None).resolve(&state, NOW);
    let event = console.unwrap().event("did", "It.".into());
    assert_eq!(event.account_name, "pi");
    assert_eq!(event.legal_name, "pi at the console");
    assert_eq!((event.origin, event.reason), (Some(Origin::Console), None));
    let open = Request::open(Some("because".into()), None).resolve(&state, NOW);
    let event = open.unwrap().event("did", "It.".into());
    assert_eq!(event.account_name, "opentrons-auth-server");
    assert_eq!(event.reason.as_deref(), Some("because"));
}

#[test]
fn token_ends_with_its_session_its_user_or_a_lock_but_not_with_failed_logins() {
    type Act = fn(&mut State);
    let acts: [(Act, bool); 6] = [
        (|_| {}, true),
        (|state| state.apply(Change::EndSession(SessionId(2))), false),
        (|state| state.apply(Change::DeleteUser(UserId(2))), false),
        (
            |state| change(state, "ada", |ada| ada.locked_by_admin = true),
            false,
        ),
        (
            |state| change(state, "ada", |ada| ada.failed_logins = 5),
            true,
        ),
        (
            |state| {
                let except = Some(SessionId(1));
                state.apply(Change::EndAllSessions { except });
            },
            false,
        ),
    ];
    for (number, (act, active)) in acts.into_iter().enumerate() {
        let mut state = usual();
        let digest = token(&mut state, 2, Scopes::UNBOUNDED, after(1));
        act(&mut state);
        assert_eq!(
            state.authenticate(&digest, NOW).is_some(),
            active,
            "{number}"
        );
    }
}

#[test]
fn user_who_must_set_a_new_password_can_do_only_that() {
    let mut state = usual();
    let digest = token(&mut state, 2, Scopes::UNBOUNDED, after(1_000_000_000));
    let day = Duration::from_secs(86_400);
    set(&mut state, "passwordResetTime", Value::Duration(day));
    let scopes = |state: &State, now| state.authenticate(&digest, now).unwrap().scopes;
    let all = AccountType::User.scopes(state.settings());
    assert_eq!(scopes(&state, after(86_399_999)), all);
    assert_eq!(scopes(&state, after(86_400_000)), Scopes::SELF_ONLY);
    let reason = |state: &State, now| {
        let ada = state.user_named("ada").unwrap();
        Profile::of(ada, state, &state.lock_policy(), now).reset_reason
    };
    assert_eq!(
        reason(&state, after(86_400_000)),
        ResetPasswordReason::PasswordExpired
    );
    assert_eq!(reason(&state, NOW), ResetPasswordReason::None);
    change(&mut state, "ada", |ada| {
        ada.stored_reason = ResetPasswordReason::AdminForced;
    });
    assert_eq!(scopes(&state, NOW), Scopes::SELF_ONLY);
    assert_eq!(
        reason(&state, after(86_400_000)),
        ResetPasswordReason::AdminForced
    );
}

// Logging in.

fn attempt(state: &State, name: &str, right: bool) -> Attempt {
    let user = state.user_named(name);
    Attempt {
        user: user.map(|user| user.id),
        checked: user.map_or(PasswordHash::from_phc("none".into()), |user| {
            user.password.clone()
        }),
        right,
        rehashed: None,
    }
}

fn try_login(
    state: &State,
    attempt: &Attempt,
    now: Moment,
    asked: Option<Scopes>,
) -> Decision<LoginOutcome> {
    let mut random = Counter(0);
    let mut context = Context {
        now,
        random: &mut random,
    };
    let user = attempt.user.and_then(|id| state.user(id));
    let failed = user.map(failed_logins).unwrap_or_default();
    log_in(state, &mut context, &caller(), attempt, failed, asked)
}

/// Failed logins to an account, as if all came from one source.
fn failed_logins(user: &User) -> Failed {
    Failed {
        count: user.failed_logins,
        last: user.last_failed_login,
    }
}

#[test]
fn login_begins_a_session_and_is_recorded() {
    let state = usual();
    let decision = try_login(&state, &attempt(&state, "ada", true), NOW, None);
    assert_eq!(
        said(&decision.events),
        ("login succeeded", "\"ada\" (\"ada L\") logged in.")
    );
    assert_eq!(decision.events[0].account_name, "ada");
    assert_eq!(decision.events[0].refusal, None);
    let LoginOutcome::Granted(issued) = &decision.reply else {
        panic!("{:?}", decision.reply)
    };
    assert_eq!(issued.lifetime, Duration::from_secs(180));
    assert_eq!(issued.scopes, AccountType::User.scopes(state.settings()));
    assert_ne!(issued.access.expose(), issued.refresh.expose());
    assert_eq!(issued.access.expose().len(), 43);
    assert_eq!(issued.refresh.expose().len(), 67);
    let expires = after(180_000);
    let [Change::PutSession(session), Change::PutHandle(handle, named), Change::PutAccessToken(access, token), Change::PutRefreshToken(refresh, other)] =
        &decision.changes[..]
    else {
        panic!("{:?}", decision.changes)
    };
    assert_eq!(
        *session,
        Session {
            id: SessionId(1),
            user: UserId(2),
            grant: Scopes::UNBOUNDED,
            expires
        }
    );
    assert_eq!(
        (*access, *refresh),
        (issued.access.digest(), issued.refresh.digest())
    );
    let begin = &issued.refresh.expose()[..24];
    assert_eq!(
        (*handle, *named),
        (HandleDigest(TokenDigest::of(begin)), session.id)
    );
    assert_eq!(
        *token,
        AccessToken {
            session: session.id,
            scopes: Scopes::UNBOUNDED,
            issued: NOW,
            expires
        }
    );
    assert_eq!(
        *other,
        RefreshToken {
            session: session.id,
            expires,
            superseded: None
        }
    );
}

#[test]
fn login_clears_failed_ones_and_takes_a_better_hash() {
    let mut state = usual();
    change(&mut state, "ada", |ada| {
        ada.failed_logins = 3;
        ada.last_failed_login = Some(NOW);
    });
    let attempt = attempt(&state, "ada", true);
    let decision = try_login(&state, &attempt, NOW, None);
    let ada = stored(&decision.changes);
    assert_eq!((ada.failed_logins, ada.last_failed_login), (0, None));
    assert_eq!(ada.password.as_phc(), "hash of ada");
    let better = Attempt {
        rehashed: Some(PasswordHash::from_phc("better".into())),
        ..attempt
    };
    let decision = try_login(&state, &better, NOW, None);
    assert_eq!(stored(&decision.changes).password.as_phc(), "better");
    change(&mut state, "ada", |ada| ada.failed_logins = 0);
    let decision = try_login(&state, &better, NOW, None);
    assert_eq!(stored(&decision.changes).password.as_phc(), "better");
}

/// Refused logins: the message, the kind of refusal, and the outcome as the client sees it.
#[test]
fn refused_login_is_recorded_with_its_reason() {
    use RefusalKind::{ExcessiveScope, LockedAccount, SlowedAccount, UnknownUser, WrongPassword};
    let mut state = state(&[
        ("root", Admin),
        ("ada", AccountType::User),
        ("app", Service),
        ("eve", AccountType::User),
        ("last", AccountType::User),
        ("odd", AccountType::User),
    ]);
    change(&mut state, "eve", |eve| eve.locked_by_admin = true);
    change(&mut state, "last", |last| last.failed_logins = 4);
    change(&mut state, "odd", |odd| odd.failed_logins = 5);
    change(&mut state, "app", |app| {
        app.failed_logins = 5;
        app.last_failed_login = Some(NOW);
    });
    let write = Some(Scopes::of(&[Scope::UsersWrite]));
    let rows = [
        (
            "nobody",
            true,
            None,
            "there is no such user.",
            Some(UnknownUser),
            None,
            false,
        ),
        (
            "ada",
            false,
            None,
            "wrong password; attempts left: 4.",
            Some(WrongPassword),
            Some(4),
            false,
        ),
        (
            "last",
            false,
            None,
            "wrong password; the account is now locked.",
            None,
            Some(0),
            true,
        ),
        (
            "eve",
            true,
            None,
            "the account is locked.",
            Some(LockedAccount),
            Some(0),
            true,
        ),
        (
            "odd",
            true,
            None,
            "the account is locked.",
            Some(LockedAccount),
            Some(0),
            true,
        ),
    ];
    for (name, right, asked, message, kind, remaining, is_locked) in rows {
        let decision = try_login(&state, &attempt(&state, name, right), NOW, asked);
        let expected = format!("A login was refused: {message}");
        assert_eq!(said(&decision.events), ("login failed", &*expected));
        assert_eq!(decision.events[0].refusal, kind, "{name}");
        let actor = if name == "nobody" {
            "opentrons-auth-server"
        } else {
            name
        };
        assert_eq!(decision.events[0].account_name, actor);
        let LoginOutcome::Refused {
            attempts_remaining,
            locked,
        } = decision.reply
        else {
            panic!("{name}: {:?}", decision.reply)
        };
        assert_eq!(
            (attempts_remaining, locked),
            (remaining, is_locked),
            "{name}"
        );
        let is_counted = !right;
        assert_eq!(!decision.changes.is_empty(), is_counted, "{name}");
        if is_counted {
            let user = stored(&decision.changes);
            let before = state.user_named(name).unwrap().failed_logins;
            assert_eq!(user.failed_logins, before + 1);
            assert_eq!(user.last_failed_login, Some(NOW));
        }
    }
    let decision = try_login(&state, &attempt(&state, "app", true), NOW, None);
    let message = "A login was refused: too many wrong passwords in a row.";
    assert_eq!(said(&decision.events), ("login failed", message));
    assert_eq!(decision.events[0].refusal, Some(SlowedAccount));
    assert!(matches!(
        decision.reply,
        LoginOutcome::MustWait { seconds: 1 }
    ));
    assert!(decision.changes.is_empty());
    let decision = try_login(&state, &attempt(&state, "app", false), after(1000), None);
    assert_eq!(
        said(&decision.events).1,
        "A login was refused: wrong password."
    );
    let decision = try_login(&state, &attempt(&state, "ada", true), NOW, write);
    let message = "A login was refused: it requested scopes that the account may not have.";
    assert_eq!(said(&decision.events), ("login failed", message));
    assert_eq!(decision.events[0].refusal, Some(ExcessiveScope));
    assert!(matches!(decision.reply, LoginOutcome::ExcessiveScope));
    assert!(decision.changes.is_empty());
}

#[test]
fn password_that_was_replaced_during_the_login_is_wrong() {
    let mut state = usual();
    let attempt = attempt(&state, "ada", true);
    change(&mut state, "ada", |ada| {
        ada.password = PasswordHash::from_phc("new".into());
    });
    let decision = try_login(&state, &attempt, NOW, None);
    assert!(matches!(decision.reply, LoginOutcome::Refused { .. }));
    assert_eq!(stored(&decision.changes).failed_logins, 1);
}

#[test]
fn user_with_a_temporary_password_may_ask_for_all_scopes_of_the_account() {
    let mut state = usual();
    change(&mut state, "ada", |ada| {
        ada.stored_reason = ResetPasswordReason::FirstTimeLogin;
    });
    let all = AccountType::User.scopes(state.settings());
    let attempt = attempt(&state, "ada", true);
    let decision = try_login(&state, &attempt, NOW, Some(all));
    let LoginOutcome::Granted(issued) = decision.reply else {
        panic!("{:?}", decision.reply)
    };
    assert_eq!(issued.scopes, Scopes::SELF_ONLY);
}

// Locking.

/// An account that is never locked waits after its fifth failed login: how long, by their number.
#[test]
fn account_that_is_never_locked_is_slowed_down() {
    let mut state = state(&[("root", Admin), ("app", Service)]);
    for (failures, seconds) in [
        (0, None),
        (4, None),
        (5, Some(1)),
        (6, Some(2)),
        (7, Some(4)),
        (9, Some(16)),
        (10, Some(30)),
        (1000, Some(30)),
    ] {
        change(&mut state, "app", |app| {
            app.failed_logins = failures;
            app.last_failed_login = Some(NOW);
        });
        let (app, policy) = (state.user_named("app").unwrap(), state.lock_policy());
        assert_eq!(
            policy.must_wait(app, failed_logins(app), NOW),
            seconds,
            "{failures}"
        );
        assert!(!policy.is_locked(app));
        assert_eq!(policy.attempts_remaining(app), None);
        if let Some(seconds) = seconds {
            let over = 1000 * i64::try_from(seconds).unwrap();
            assert_eq!(
                policy.must_wait(app, failed_logins(app), after(over - 1)),
                Some(1)
            );
            assert_eq!(policy.must_wait(app, failed_logins(app), after(over)), None);
        }
    }
    change(&mut state, "root", |root| {
        root.failed_logins = 5;
        root.last_failed_login = Some(NOW);
    });
    let root = state.user_named("root").unwrap();
    assert_eq!(
        state
            .lock_policy()
            .must_wait(root, failed_logins(root), NOW),
        None
    );
    assert!(state.lock_policy().is_locked(root));
}

#[test]
fn attempts_remain_up_to_the_limit() {
    let mut state = usual();
    let remaining = |state: &State| {
        let ada = state.user_named("ada").unwrap();
        let policy = state.lock_policy();
        (policy.attempts_remaining(ada), policy.is_locked(ada))
    };
    assert_eq!(remaining(&state), (Some(5), false));
    for (failures, expected) in [
        (4, (Some(1), false)),
        (5, (Some(0), true)),
        (9, (Some(0), true)),
    ] {
        change(&mut state, "ada", |ada| ada.failed_logins = failures);
        assert_eq!(remaining(&state), expected);
    }
    set(&mut state, "maxNumberOfLoginAttempts", Value::Null);
    assert_eq!(remaining(&state), (None, false));
    change(&mut state, "ada", |ada| ada.locked_by_admin = true);
    assert_eq!(remaining(&state), (None, true));
}

/// With access control on, the last administrator who can log in is slowed down and not locked.
#[test]
fn last_administrator_is_never_locked_out() {
    let mut state = state(&[("root", Admin), ("amy", Admin), ("ada", AccountType::User)]);
    let fail = |state: &mut State, name: &str, failures, at| {
        change(state, name, |user| {
            user.failed_logins = failures;
            user.last_failed_login = Some(at);
        });
    };
    let locked = |state: &State, name: &str| {
        let policy = state.lock_policy();
        let user = state.user_named(name).unwrap();
        assert_eq!(
            policy.slows(user),
            policy.attempts_remaining(user).is_none()
        );
        policy.is_locked(user)
    };
    fail(&mut state, "root", 5, NOW);
    fail(&mut state, "amy", 5, after(1));
    // Off: both are locked.
    assert!(locked(&state, "root") && locked(&state, "amy"));
    assert!(!state.has_able_admin(None));
    state.apply(Change::SetAccessControl(true));
    // On: the one that could log in last is spared.
    assert!(locked(&state, "root") && !locked(&state, "amy"));
    fail(&mut state, "root", 5, after(2));
    assert!(!locked(&state, "root") && locked(&state, "amy"));
    // At the same time: the older account.
    fail(&mut state, "root", 5, after(1));
    assert!(!locked(&state, "root") && locked(&state, "amy"));
    // One who can log in is the last one.
    fail(&mut state, "amy", 4, after(1));
    assert!(locked(&state, "root") && !locked(&state, "amy"));
    assert!(state.has_able_admin(None));
    assert!(!state.has_able_admin(Some(UserId(2))));
    let mut failed = state.user_named("amy").unwrap().clone();
    failed.failed_logins = 5;
    failed.last_failed_login = Some(after(2));
    assert!(!state.lock_policy_after(&failed).is_locked(&failed));
    // An administrator who was locked by another one is not spared.
    change(&mut state, "amy", |amy| amy.locked_by_admin = true);
    assert!(!locked(&state, "root") && locked(&state, "amy"));
    // Two who can log in: none is the last.
    change(&mut state, "amy", |amy| {
        amy.locked_by_admin = false;
        amy.failed_logins = 0;
    });
    fail(&mut state, "root", 4, NOW);
    let policy = state.lock_policy();
    for name in ["root", "amy"] {
        assert!(!policy.slows(state.user_named(name).unwrap()));
    }
    let mut failed = state.user_named("root").unwrap().clone();
    failed.failed_logins = 5;
    assert!(state.lock_policy_after(&failed).is_locked(&failed));
}

// Refreshing and revoking.

/// Returns a state in which `ada` is logged in since [`NOW`] for 180 seconds, with the tokens.
fn with_login(asked: Option<Scopes>) -> (State, Presented, Presented) {
    let mut state = usual();
    let decision = try_login(&state, &attempt(&state, "ada", true), NOW, asked);
    let LoginOutcome::Granted(issued) = apply(&mut state, decision) else {
        panic!("not granted")
    };
    let presented = |token: &Token| Presented::of(token.expose());
    (state, presented(&issued.access), presented(&issued.refresh))
}

/// As [`with_login`], but with the digests of the tokens.
fn logged_in(asked: Option<Scopes>) -> (State, TokenDigest, TokenDigest) {
    let (state, access, refresh) = with_login(asked);
    (state, access.digest, refresh.digest)
}

fn try_refresh(
    state: &State,
    presented: &Presented,
    now: Moment,
    asked: Option<Scopes>,
) -> Decision<RefreshOutcome> {
    let mut random = Counter(100);
    let mut context = Context {
        now,
        random: &mut random,
    };
    refresh(state, &mut context, &caller(), presented, asked)
}

#[test]
fn refresh_continues_the_session_and_uses_up_the_token() {
    let (mut state, access, presented) = with_login(None);
    let decision = try_refresh(&state, &presented, after(100_000), None);
    assert!(decision.events.is_empty());
    assert!(matches!(decision.reply, RefreshOutcome::Granted { .. }));
    apply(&mut state, decision);
    let expires = state.session(SessionId(1)).unwrap().expires;
    assert_eq!(expires, after(280_000));
    let superseded = |state: &State| state.refresh_token(&presented.digest).unwrap().superseded;
    assert_eq!(superseded(&state), Some(after(100_000)));
    // The access token of before goes on.
    assert!(state.authenticate(&access.digest, after(101_000)).is_some());
    // Within the grace period, a second time; the period does not begin anew.
    let grace = i64::try_from(REFRESH_GRACE.as_millis()).unwrap();
    let decision = try_refresh(&state, &presented, after(100_000 + grace - 1), None);
    assert!(matches!(decision.reply, RefreshOutcome::Granted { .. }));
    apply(&mut state, decision);
    assert_eq!(superseded(&state), Some(after(100_000)));
    // After that, the session ends.
    let decision = try_refresh(&state, &presented, after(100_000 + grace), None);
    assert!(matches!(decision.reply, RefreshOutcome::Refused));
    assert_eq!(
        said(&decision.events),
        (
            "login ended",
            "A refresh token of \"ada\" (\"ada L\") was reused: its session was ended."
        )
    );
    assert_eq!(
        decision.events[0].refusal,
        Some(RefusalKind::ReusedRefreshToken)
    );
    assert_eq!(decision.events[0].account_name, "ada");
    apply(&mut state, decision);
    assert!(state.session(SessionId(1)).is_none());
}

#[test]
fn session_is_not_shortened_by_a_setting_that_shortens_new_ones() {
    let (mut state, _, presented) = with_login(None);
    let one = Value::Duration(Duration::from_secs(1));
    set(&mut state, "idleLogout", one);
    let decision = try_refresh(&state, &presented, NOW, None);
    let RefreshOutcome::Granted { issued, .. } = apply(&mut state, decision) else {
        panic!("not granted")
    };
    assert_eq!(issued.lifetime, Duration::from_secs(1));
    assert_eq!(state.session(SessionId(1)).unwrap().expires, after(180_000));
    let token = state.access_token(&issued.access.digest()).unwrap();
    assert_eq!(token.expires, after(1000));
}

#[test]
fn refresh_is_refused_without_a_trace() {
    let read = Scopes::of(&[Scope::UsersReadSelf]);
    let (state, access, presented) = with_login(Some(read));
    let unknown = Presented::of("unknown");
    let guess = Presented::of(&"x".repeat(67));
    let mut locked = logged_in(None).0;
    change(&mut locked, "ada", |ada| ada.locked_by_admin = true);
    let mut ended = logged_in(None).0;
    ended.apply(Change::EndSession(SessionId(1)));
    for (state, presented, now) in [
        (&state, &unknown, NOW),
        (&state, &guess, NOW),
        (&state, &access, NOW),
        (&state, &presented, after(180_000)),
        (&locked, &presented, NOW),
        (&ended, &presented, NOW),
    ] {
        let decision = try_refresh(state, presented, now, None);
        assert!(matches!(decision.reply, RefreshOutcome::Refused));
        assert!(decision.changes.is_empty() && decision.events.is_empty());
    }
    let last = try_refresh(&state, &presented, after(179_999), None);
    assert!(matches!(last.reply, RefreshOutcome::Granted { .. }));
    // Beyond the session's ceiling, or what the account may have.
    for asked in [Scope::UsersWriteSelf, Scope::UsersWrite] {
        let decision = try_refresh(&state, &presented, NOW, Some(Scopes::of(&[asked])));
        assert!(matches!(decision.reply, RefreshOutcome::ExcessiveScope));
        assert!(decision.changes.is_empty() && decision.events.is_empty());
    }
}

#[test]
fn logout_ends_the_session_by_either_token() {
    let (state, access, refresh) = with_login(None);
    for token in [&access, &refresh] {
        let decision = revoke(&state, &caller(), token);
        assert_eq!(
            said(&decision.events),
            ("logout", "\"ada\" (\"ada L\") logged out.")
        );
        assert_eq!(decision.events[0].account_name, "ada");
        assert!(matches!(
            decision.changes[..],
            [Change::EndSession(SessionId(1))]
        ));
    }
    let decision = revoke(&state, &caller(), &Presented::of("unknown"));
    assert!(decision.changes.is_empty() && decision.events.is_empty());
    let mut ended = state;
    ended.apply(Change::EndSession(SessionId(1)));
    let decision = revoke(&ended, &caller(), &access);
    assert!(decision.changes.is_empty() && decision.events.is_empty());
}

// What a session keeps of its tokens.

/// Refreshes at `now`, applies the decision, and returns the new tokens. `random`: the source.
fn go_on(
    state: &mut State,
    token: &Presented,
    now: Moment,
    random: &mut dyn Random,
) -> (Presented, Presented) {
    let mut context = Context { now, random };
    let decision = refresh(state, &mut context, &caller(), token, None);
    let RefreshOutcome::Granted {
        issued: Issued {
            access, refresh, ..
        },
        ..
    } = apply(state, decision)
    else {
        panic!("not granted")
    };
    let presented = |token: &Token| Presented::of(token.expose());
    (presented(&access), presented(&refresh))
}

/// Source of bytes that do not repeat.
struct Numbers(u64);

impl Random for Numbers {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 += 1;
        bytes.fill(0);
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
    }
}

/// Moments between refreshes, in milliseconds: at once, and later than the grace period.
const PACES: [i64; 2] = [0, 11_000];

#[test]
fn session_keeps_few_tokens_however_often_it_is_refreshed() {
    for pace in PACES {
        let (mut state, first_access, first) = with_login(None);
        let mut random = Numbers(0);
        let mut now = NOW;
        let (mut access, mut token) = (first_access.clone(), first.clone());
        for number in 0..5000 {
            now = Moment(now.0 + pace);
            (access, token) = go_on(&mut state, &token, now, &mut random);
            assert!(state.token_count() <= 3 * MAX_TOKENS, "{number}");
        }
        assert!(state.authenticate(&access.digest, now).is_some());
        assert!(state.authenticate(&first_access.digest, now).is_none());
        // The very first token is still known to have been used.
        let decision = try_refresh(&state, &first, now, None);
        assert!(matches!(decision.reply, RefreshOutcome::Refused));
        assert_eq!(
            decision.events[0].refusal,
            Some(RefusalKind::ReusedRefreshToken)
        );
        apply(&mut state, decision);
        assert!(state.session(SessionId(1)).is_none());
        let decision = try_refresh(&state, &token, now, None);
        assert!(matches!(decision.reply, RefreshOutcome::Refused));
        assert!(decision.events.is_empty());
    }
}

#[test]
fn one_token_that_is_refreshed_again_and_again_in_its_grace_period_fills_nothing() {
    let (mut state, _, token) = with_login(None);
    let mut random = Numbers(0);
    let mut last = token.clone();
    for _ in 0..1000 {
        last = go_on(&mut state, &token, after(9_999), &mut random).1;
        assert!(state.token_count() <= 3 * MAX_TOKENS);
    }
    go_on(&mut state, &last, after(10_000), &mut random);
}

#[test]
fn newest_access_tokens_live_on_and_the_oldest_end_early() {
    let (mut state, access, mut token) = with_login(None);
    let mut random = Numbers(0);
    let mut all = vec![access];
    for _ in 1..MAX_TOKENS {
        let issued = go_on(&mut state, &token, NOW, &mut random);
        all.push(issued.0);
        token = issued.1;
    }
    let live = |state: &State| {
        let live = |token: &&Presented| state.authenticate(&token.digest, NOW).is_some();
        all.iter().filter(live).count()
    };
    assert_eq!(live(&state), MAX_TOKENS);
    go_on(&mut state, &token, NOW, &mut random);
    assert_eq!(live(&state), MAX_TOKENS - 1);
    assert!(state.authenticate(&all[0].digest, NOW).is_none());
    assert!(state.authenticate(&all[1].digest, NOW).is_some());
}

/// Two windows of an app with the same stored token refresh at once, each time: one of the two new
/// tokens is never used.
#[test]
fn two_windows_that_refresh_at_once_are_never_logged_out() {
    let (mut state, _, mut token) = with_login(None);
    let mut random = Numbers(0);
    for round in 1..200 {
        let now = after(round * 60_000);
        go_on(&mut state, &token, now, &mut random);
        token = go_on(&mut state, &token, now, &mut random).1;
    }
}

/// A window that was asleep wakes up with a refresh token that has expired, not one that was used.
#[test]
fn expired_token_ends_no_session_that_another_window_goes_on_with() {
    let (mut state, _, token) = with_login(None);
    let mut random = Numbers(0);
    let asleep = go_on(&mut state, &token, NOW, &mut random).1;
    let mut awake = go_on(&mut state, &token, NOW, &mut random).1;
    for round in 1..100 {
        awake = go_on(&mut state, &awake, after(round * 60_000), &mut random).1;
    }
    let now = after(99 * 60_000);
    let decision = try_refresh(&state, &asleep, now, None);
    assert!(matches!(decision.reply, RefreshOutcome::Refused));
    assert!(decision.changes.is_empty() && decision.events.is_empty());
    go_on(&mut state, &awake, now, &mut random);
}

#[test]
fn used_token_still_ends_the_session_when_it_is_revoked() {
    let (mut state, _, first) = with_login(None);
    let mut random = Numbers(0);
    let second = go_on(&mut state, &first, NOW, &mut random).1;
    go_on(&mut state, &second, after(11_000), &mut random);
    assert!(state.refresh_token(&first.digest).is_none());
    let decision = revoke(&state, &caller(), &first);
    assert!(matches!(
        decision.changes[..],
        [Change::EndSession(SessionId(1))]
    ));
}

/// Who knows another session's handle, but none of its tokens, is somebody who has had one.
#[test]
fn handle_of_one_session_says_nothing_about_another() {
    let (mut state, _, ada) = with_login(None);
    let decision = try_login(&state, &attempt(&state, "root", true), NOW, None);
    apply(&mut state, decision);
    let forged = Presented {
        digest: TokenDigest::of("forged"),
        ..ada
    };
    let decision = try_refresh(&state, &forged, NOW, None);
    assert!(matches!(
        decision.changes[..],
        [Change::EndSession(SessionId(1))]
    ));
}

/// Tokens that an earlier version issued have no handle: each names its session itself.
#[test]
fn token_without_a_handle_goes_on_and_its_reuse_is_recognized() {
    let (mut state, _, _) = with_login(None);
    let old = Presented::of(&"o".repeat(43));
    state.apply(Change::PutHandle(old.handle, SessionId(1)));
    let kept = RefreshToken {
        session: SessionId(1),
        expires: after(180_000),
        superseded: None,
    };
    state.apply(Change::PutRefreshToken(old.digest, kept));
    let mut random = Numbers(0);
    let mut token = old.clone();
    for round in 0..1000 {
        token = go_on(&mut state, &token, after(round * 11_000), &mut random).1;
    }
    assert!(state.refresh_token(&old.digest).is_none());
    let decision = try_refresh(&state, &old, after(11_000_000), None);
    assert!(matches!(
        decision.changes[..],
        [Change::EndSession(SessionId(1))]
    ));
    assert_eq!(
        decision.events[0].refusal,
        Some(RefusalKind::ReusedRefreshToken)
    );
}

// Users.

fn new_user(name: &str, account_type: AccountType, temporary: bool) -> NewUser {
    NewUser {
        username: name.into(),
        full_name: format!(" {name} L "),
        account_type,
        temporary,
    }
}

fn create(state: &State, new: &NewUser, password: &str) -> Result<Decision<User>, RuleError> {
    let caller = caller();
    let decide = rules::create(state, NOW, &caller, new, &new_password(password))?;
    Ok(decide(PasswordHash::from_phc("new hash".into())))
}

#[test]
fn created_user_has_what_was_asked_for() {
    let state = usual();
    let rows = [
        (
            AccountType::User,
            false,
            "eve L",
            "Created the user \"eve\" (\"eve L\").",
        ),
        (
            Auditor,
            true,
            "eve L",
            "Created the auditor \"eve\" (\"eve L\") with a temporary password.",
        ),
        (
            Service,
            false,
            "Service Account",
            "Created the service \"eve\" (\"Service Account\").",
        ),
    ];
    for (account_type, temporary, full_name, message) in rows {
        let decision = create(&state, &new_user("eve", account_type, temporary), LONG).unwrap();
        let expected = User {
            full_name: full_name.into(),
            password: PasswordHash::from_phc("new hash".into()),
            temporary_password: temporary,
            stored_reason: match temporary {
                true => ResetPasswordReason::FirstTimeLogin,
                false => ResetPasswordReason::None,
            },
            ..user(3, "eve", account_type)
        };
        assert_eq!(decision.reply, expected);
        assert_eq!(*stored(&decision.changes), expected);
        assert_eq!(said(&decision.events), ("create user", message));
    }
}

#[test]
fn username_that_is_taken_or_belonged_to_another_is_refused() {
    let mut state = usual();
    let taken = |username: &str| RuleError::UserAlreadyExists {
        username: username.into(),
    };
    let new = |name: &str| new_user(name, AccountType::User, false);
    assert_eq!(create(&state, &new("ADA"), LONG).unwrap_err(), taken("ADA"));
    let decision = rules::delete(&state, &caller(), "ada").unwrap();
    assert_eq!(
        said(&decision.events),
        ("delete user", "Deleted the user \"ada\" (\"ada L\").")
    );
    apply(&mut state, decision);
    assert!(state.user_named("ada").is_none());
    let mut other = new("Ada");
    other.full_name = "Another".into();
    // Off: setting the robot up is not hindered by what was tried before.
    assert!(create(&state, &other, LONG).is_ok());
    state.apply(Change::SetAccessControl(true));
    let error = create(&state, &other, LONG).unwrap_err();
    let username = "Ada".to_owned();
    assert_eq!(error, RuleError::UsernameBelongsToAnother { username });
    // The same person gets it back.
    assert!(create(&state, &new("ada"), LONG).is_ok());
    // A user who had it before does, too, even under another full name.
    change(&mut state, "root", |root| root.full_name = "Married".into());
    let former = FormerUsername {
        key: "boss".into(),
        user: UserId(1),
        full_name: "root L".into(),
    };
    state.apply(Change::PutFormerUsername(former));
    let patch = UserPatch {
        username: Some("boss".into()),
        ..UserPatch::default()
    };
    assert!(rules::update(&state, &caller(), "root", &patch).is_ok());
}

#[test]
fn new_user_is_refused_for_names_and_password() {
    let state = usual();
    let mut new = new_user("a b", AccountType::User, false);
    let error = create(&state, &new, LONG).unwrap_err();
    assert_eq!(error, RuleError::UsernameContainsInvalidCharacters);
    new.username = "eve".into();
    new.full_name = " ".into();
    let field = Field::FullName;
    assert_eq!(
        create(&state, &new, LONG).unwrap_err(),
        RuleError::Empty { field }
    );
    new.full_name = "Eve".into();
    let error = create(&state, &new, "short").unwrap_err();
    assert!(matches!(error, RuleError::Several(faults) if faults.len() == 1));
}

fn patch() -> UserPatch {
    UserPatch::default()
}

/// Changes by an administrator: what the audit log says, and whether all sessions of the user end.
#[test]
fn change_of_a_user_is_described_and_ends_sessions_where_it_must() {
    let rows = [
        (
            UserPatch {
                full_name: Some(" Ada King ".into()),
                ..patch()
            },
            "full name \"ada L\" → \"Ada King\"",
            false,
        ),
        (
            UserPatch {
                username: Some("countess".into()),
                ..patch()
            },
            "username \"ada\" → \"countess\"",
            true,
        ),
        (
            UserPatch {
                account_type: Some(Auditor),
                ..patch()
            },
            "account type user → auditor",
            true,
        ),
        (
            UserPatch {
                locked: Some(true),
                ..patch()
            },
            "locked",
            true,
        ),
        (
            UserPatch {
                reset_password: true,
                ..patch()
            },
            "new password required",
            true,
        ),
        (
            UserPatch {
                username: Some("countess".into()),
                full_name: Some("Ada King".into()),
                ..patch()
            },
            "full name \"ada L\" → \"Ada King\", username \"ada\" → \"countess\"",
            true,
        ),
    ];
    let state = usual();
    for (patch, what, ends) in rows {
        let decision = rules::update(&state, &caller(), "ada", &patch).unwrap();
        let message = format!("Changed the user \"ada\" (\"ada L\"): {what}.");
        assert_eq!(said(&decision.events), ("update user", &*message));
        assert_eq!(ends_all_of(&decision.changes, 2), ends, "{what}");
        assert_eq!(*stored(&decision.changes), decision.reply);
        let renamed = patch.username.is_some();
        let former = matches!(&decision.changes[0], Change::PutFormerUsername(former)
            if former.key == "ada" && former.user == UserId(2));
        assert_eq!(former, renamed, "{what}");
    }
    // Nothing changes, and so nothing is said.
    for nothing in [
        patch(),
        UserPatch {
            full_name: Some("ada L ".into()),
            ..patch()
        },
        UserPatch {
            username: Some("ada".into()),
            ..patch()
        },
        UserPatch {
            account_type: Some(AccountType::User),
            ..patch()
        },
        UserPatch {
            locked: Some(false),
            ..patch()
        },
    ] {
        let decision = rules::update(&state, &caller(), "ada", &nothing).unwrap();
        assert!(decision.changes.is_empty() && decision.events.is_empty());
    }
    let error = rules::update(&state, &caller(), "eve", &patch()).unwrap_err();
    assert_eq!(
        error,
        RuleError::UserNotFound {
            username: "eve".into()
        }
    );
}

#[test]
fn locked_account_stays_locked_and_is_unlocked_with_its_count() {
    let lock = |locked| UserPatch {
        locked: Some(locked),
        ..patch()
    };
    let mut state = usual();
    change(&mut state, "ada", |ada| ada.locked_by_admin = true);
    let decision = rules::update(&state, &caller(), "ada", &lock(true)).unwrap();
    assert!(decision.changes.is_empty());
    assert!(decision.reply.locked_by_admin);
    let failures: [(bool, u32); 3] = [(true, 0), (false, 1), (true, 7)];
    for (by_admin, failed) in failures {
        change(&mut state, "ada", |ada| {
            ada.locked_by_admin = by_admin;
            ada.failed_logins = failed;
            ada.last_failed_login = Some(NOW);
        });
        let decision = rules::update(&state, &caller(), "ada", &lock(false)).unwrap();
        assert!(said(&decision.events).1.ends_with(": unlocked."));
        assert!(!ends_any(&decision.changes));
        let ada = stored(&decision.changes);
        assert!(!ada.locked_by_admin);
        assert_eq!((ada.failed_logins, ada.last_failed_login), (0, None));
    }
}

#[test]
fn required_new_password_keeps_an_earlier_reason() {
    let require = UserPatch {
        reset_password: true,
        ..patch()
    };
    let mut state = usual();
    let reason = |state: &State| {
        let decision = rules::update(state, &caller(), "ada", &require).unwrap();
        stored(&decision.changes).stored_reason
    };
    assert_eq!(reason(&state), ResetPasswordReason::AdminForced);
    change(&mut state, "ada", |ada| {
        ada.stored_reason = ResetPasswordReason::FirstTimeLogin;
    });
    assert_eq!(reason(&state), ResetPasswordReason::FirstTimeLogin);
}

#[test]
fn service_account_is_not_renamed_locked_or_given_another_type() {
    let mut state = state(&[
        ("root", Admin),
        ("app", Service),
        ("ada", AccountType::User),
    ]);
    for refused in [
        UserPatch {
            full_name: Some("App".into()),
            ..patch()
        },
        UserPatch {
            username: Some("other".into()),
            ..patch()
        },
        UserPatch {
            account_type: Some(Admin),
            ..patch()
        },
        UserPatch {
            locked: Some(true),
            ..patch()
        },
    ] {
        let error = rules::update(&state, &caller(), "app", &refused).unwrap_err();
        assert_eq!(error, RuleError::ServiceAccountImmutable);
    }
    for allowed in [
        UserPatch {
            full_name: Some("app L".into()),
            ..patch()
        },
        UserPatch {
            locked: Some(false),
            ..patch()
        },
        UserPatch {
            reset_password: true,
            ..patch()
        },
    ] {
        assert!(rules::update(&state, &caller(), "app", &allowed).is_ok());
    }
    // An account that becomes one loses its name and its lock.
    change(&mut state, "ada", |ada| ada.locked_by_admin = true);
    let become_one = UserPatch {
        account_type: Some(Service),
        ..patch()
    };
    let decision = rules::update(&state, &caller(), "ada", &become_one).unwrap();
    let ada = stored(&decision.changes);
    assert_eq!(ada.full_name, "Service Account");
    assert!(!ada.locked_by_admin);
    let locked = UserPatch {
        locked: Some(true),
        ..become_one
    };
    let error = rules::update(&state, &caller(), "ada", &locked).unwrap_err();
    assert_eq!(error, RuleError::ServiceAccountImmutable);
    // With access control on, only the console deletes one.
    assert!(rules::delete(&state, &caller(), "app").is_ok());
    state.apply(Change::SetAccessControl(true));
    let error = rules::delete(&state, &caller(), "app").unwrap_err();
    assert_eq!(error, RuleError::ServiceAccountImmutable);
    let console = Caller::anonymous(Origin::Console, Some("because".into()));
    assert!(rules::delete(&state, &console, "app").is_ok());
    assert!(rules::delete(&state, &caller(), "ada").is_ok());
}

/// With access control on, at least one administrator must be able to log in.
#[test]
fn last_administrator_stays_one() {
    let retype = UserPatch {
        account_type: Some(AccountType::User),
        ..patch()
    };
    let lock = UserPatch {
        locked: Some(true),
        ..patch()
    };
    let rename = UserPatch {
        full_name: Some("Boss".into()),
        ..patch()
    };
    let refused = |state: &State, name: &str, patch: &UserPatch| {
        let error = rules::update(state, &caller(), name, patch).err();
        assert!(matches!(error, None | Some(RuleError::LastAdmin)));
        error.is_some()
    };
    let deletion_refused = |state: &State, name: &str| {
        let error = rules::delete(state, &caller(), name).err();
        assert!(matches!(error, None | Some(RuleError::LastAdmin)));
        error.is_some()
    };
    let mut state = usual();
    for patch in [&retype, &lock, &rename] {
        assert!(!refused(&state, "root", patch));
    }
    assert!(!deletion_refused(&state, "root"));
    state.apply(Change::SetAccessControl(true));
    assert!(refused(&state, "root", &retype) && refused(&state, "root", &lock));
    assert!(!refused(&state, "root", &rename));
    assert!(deletion_refused(&state, "root") && !deletion_refused(&state, "ada"));
    assert!(!refused(&state, "ada", &lock));
    // The same with a new password.
    let caller = caller();
    let error =
        rules::update_with_password(&state, NOW, &caller, "root", &retype, &new_password(LONG));
    assert_eq!(error.err(), Some(RuleError::LastAdmin));
    // A second one who is locked does not help; one who is not does.
    let mut amy = user(9, "amy", Admin);
    amy.locked_by_admin = true;
    state.apply(Change::PutUser(amy));
    assert!(refused(&state, "root", &retype) && deletion_refused(&state, "root"));
    // The locked one may be changed, but not made a user while there is no other: there is.
    assert!(!refused(&state, "amy", &retype) && !deletion_refused(&state, "amy"));
    change(&mut state, "amy", |amy| amy.locked_by_admin = false);
    assert!(!refused(&state, "root", &retype) && !deletion_refused(&state, "root"));
    // If all are locked, none may be given up, but may be changed otherwise.
    for name in ["root", "amy"] {
        change(&mut state, name, |user| user.locked_by_admin = true);
    }
    assert!(refused(&state, "root", &retype) && deletion_refused(&state, "root"));
    assert!(!refused(&state, "root", &rename));
    assert!(!refused(
        &state,
        "root",
        &UserPatch {
            reset_password: true,
            ..patch()
        }
    ));
}

#[test]
fn new_password_by_an_administrator_ends_all_sessions() {
    let mut state = usual();
    change(&mut state, "ada", |ada| {
        ada.temporary_password = true;
        ada.stored_reason = ResetPasswordReason::AdminForced;
        ada.password_set_at = Moment(0);
    });
    let caller = caller();
    let patch = UserPatch {
        full_name: Some("Ada King".into()),
        reset_password: true,
        ..patch()
    };
    let decide =
        rules::update_with_password(&state, NOW, &caller, "ada", &patch, &new_password(LONG));
    let decision = decide.unwrap()(PasswordHash::from_phc("new".into()));
    let message = "Changed the user \"ada\" (\"ada L\"): full name \"ada L\" → \"Ada King\", \
        password changed.";
    assert_eq!(said(&decision.events), ("update user", message));
    assert!(ends_all_of(&decision.changes, 2));
    let ada = stored(&decision.changes);
    assert_eq!(ada.password.as_phc(), "new");
    assert_eq!(ada.password_set_at, NOW);
    assert!(!ada.temporary_password);
    assert_eq!(ada.stored_reason, ResetPasswordReason::None);
    let error =
        rules::update_with_password(&state, NOW, &caller, "ada", &patch, &new_password("x"));
    assert!(matches!(error.err(), Some(RuleError::Several(_))));
}

#[test]
fn reset_password_is_temporary_and_unlocks_the_account() {
    let mut state = usual();
    change(&mut state, "ada", |ada| {
        ada.locked_by_admin = true;
        ada.failed_logins = 5;
    });
    let caller = caller();
    let decide = rules::reset_password(&state, NOW, &caller, "ada", &new_password(LONG));
    let decision = decide.unwrap()(PasswordHash::from_phc("new".into()));
    let message = "Changed the user \"ada\" (\"ada L\"): temporary password set.";
    assert_eq!(said(&decision.events), ("reset password", message));
    assert!(ends_all_of(&decision.changes, 2));
    let ada = stored(&decision.changes);
    assert!(ada.temporary_password && !ada.locked_by_admin);
    assert_eq!(ada.failed_logins, 0);
    assert_eq!(ada.stored_reason, ResetPasswordReason::AdminForced);
    assert_eq!(ada.password.as_phc(), "new");
    let error = rules::reset_password(&state, NOW, &caller, "eve", &new_password(LONG));
    assert!(matches!(error.err(), Some(RuleError::UserNotFound { .. })));
}

#[test]
fn users_change_their_own_names_and_password_and_nothing_else() {
    let state = usual();
    let caller = as_user(2);
    let all = UserPatch {
        full_name: Some("Ada King".into()),
        account_type: Some(Admin),
        locked: Some(true),
        reset_password: true,
        ..patch()
    };
    let decision = rules::update_self(&state, &caller, &all).unwrap();
    let ada = stored(&decision.changes);
    assert_eq!(ada.full_name, "Ada King");
    assert_eq!(ada.account_type, AccountType::User);
    assert!(!ada.locked_by_admin);
    assert!(!ends_any(&decision.changes));
    let what = "Changed the user \"ada\" (\"ada L\"): full name \"ada L\" → \"Ada King\"";
    assert_eq!(
        said(&decision.events),
        ("update self", &*format!("{what}."))
    );
    let decide = rules::update_self_with_password(&state, NOW, &caller, &all, &new_password(LONG));
    let decision = decide.unwrap()(PasswordHash::from_phc("new".into()));
    let message = format!("{what}, password changed.");
    assert_eq!(said(&decision.events), ("update self", &*message));
    // The session in which it was changed goes on.
    assert!(decision.changes.iter().any(|change| matches!(
        change,
        Change::EndSessionsOf {
            user: UserId(2),
            except: Some(SessionId(2))
        }
    )));
    // Nobody is the caller without a session, or after the account was deleted.
    for stranger in [self::caller(), as_user(99)] {
        let error = rules::update_self(&state, &stranger, &all).unwrap_err();
        assert_eq!(
            error,
            RuleError::UserNotFound {
                username: "self".into()
            }
        );
    }
}

#[test]
fn unknown_username_is_repeated_in_part() {
    let state = usual();
    let named = |name: &str| match rules::named(&state, name).unwrap_err() {
        RuleError::UserNotFound { username } => username,
        other => panic!("{other:?}"),
    };
    assert_eq!(named("eve"), "eve");
    assert_eq!(named(&"e".repeat(20)), "e".repeat(20));
    assert_eq!(named(&"é".repeat(21)), "é".repeat(20) + "…");
}

#[test]
fn profile_shows_a_lock_by_failed_logins() {
    let mut state = usual();
    change(&mut state, "ada", |ada| ada.failed_logins = 5);
    let ada = state.user_named("ada").unwrap();
    let profile = Profile::of(ada, &state, &state.lock_policy(), NOW);
    assert_eq!((&*profile.username, &*profile.full_name), ("ada", "ada L"));
    assert_eq!(profile.account_type, AccountType::User);
    assert!(profile.locked);
}

// Refusals.

#[test]
fn summary_says_what_was_refused_and_how_often() {
    use RefusalKind::*;
    let rows = [
        (UnknownUser, "there is no such user."),
        (WrongPassword, "wrong password."),
        (LockedAccount, "the account is locked."),
        (SlowedAccount, "too many wrong passwords in a row."),
        (
            ExcessiveScope,
            "requested scopes that the account may not have.",
        ),
    ];
    let summary = |kind, number| {
        let mut refusals = Refusals::default();
        for _ in 0..20 + number {
            let event = caller().event("login failed", "own".into()).refused(kind);
            refusals.limit(vec![event], NOW);
        }
        let events = refusals.all();
        assert_eq!(events.len(), 1);
        (events[0].action.clone(), events[0].message.clone())
    };
    for (kind, what) in rows {
        let one = format!("1 further login was refused within a minute: {what}");
        assert_eq!(summary(kind, 1), ("login failed".into(), one));
        let more = format!("2 further logins were refused within a minute: {what}");
        assert_eq!(summary(kind, 2), ("login failed".into(), more));
    }
    let one = "1 further refresh token was reused within a minute: its session was ended.";
    assert_eq!(
        summary(ReusedRefreshToken, 1),
        ("login ended".into(), one.into())
    );
    let two = "2 further refresh tokens were reused within a minute: their sessions were ended.";
    assert_eq!(
        summary(ReusedRefreshToken, 2),
        ("login ended".into(), two.into())
    );
}

// The state.

/// Changes that make a state another one: none of them goes unnoticed.
#[test]
fn states_that_differ_in_one_thing_are_not_the_same() {
    let (same, access, refresh) = logged_in(None);
    let build = || logged_in(None).0;
    assert!(build().holds_the_same_as(&same));
    let superseded = RefreshToken {
        superseded: Some(NOW),
        ..*same.refresh_token(&refresh).unwrap()
    };
    let narrowed = AccessToken {
        scopes: Scopes::NONE,
        ..*same.access_token(&access).unwrap()
    };
    let settings = Settings {
        max_login_attempts: None,
        ..Settings::default()
    };
    let changes = [
        Change::PutSettings(settings),
        Change::SetAccessControl(true),
        Change::PutUser(user(3, "eve", Admin)),
        Change::PutFormerUsername(FormerUsername::of(&user(3, "eve", Admin))),
        Change::PutSession(Session {
            expires: after(1),
            ..same.session(SessionId(1)).unwrap().clone()
        }),
        Change::PutHandle(HandleDigest(access), SessionId(1)),
        Change::PutAccessToken(access, narrowed),
        Change::PutRefreshToken(refresh, superseded),
        Change::ForgetAccessTokens(vec![access]),
        Change::ForgetRefreshTokens(vec![refresh]),
        Change::EndSession(SessionId(1)),
    ];
    for change in changes {
        let mut other = build();
        other.apply(change.clone());
        assert!(!other.holds_the_same_as(&same), "{change:?}");
        assert!(!same.holds_the_same_as(&other), "{change:?}");
    }
    // Tokens whose session has ended are nothing.
    let mut ended = build();
    ended.apply(Change::EndSession(SessionId(1)));
    let mut forgotten = build();
    forgotten.apply(Change::EndSession(SessionId(1)));
    forgotten.apply(Change::ForgetAccessTokens(vec![access]));
    assert!(ended.holds_the_same_as(&forgotten));
}

#[test]
fn tokens_of_both_kinds_are_counted() {
    let (mut state, access, refresh) = logged_in(None);
    assert_eq!(state.token_count(), 2);
    token(&mut state, 2, Scopes::NONE, NOW);
    assert_eq!(state.token_count(), 3);
    state.apply(Change::ForgetAccessTokens(vec![access]));
    state.apply(Change::ForgetRefreshTokens(vec![refresh]));
    assert_eq!(state.token_count(), 1);
}

#[test]
fn ids_of_deleted_users_and_ended_sessions_are_not_used_again() {
    let mut state = logged_in(None).0;
    state.apply(Change::DeleteUser(UserId(2)));
    assert_eq!(state.next_user(), UserId(3));
    assert_eq!(state.next_session(), SessionId(2));
    let mut other = State::default();
    assert_eq!(other.next_user(), UserId(1));
    other.skip_ids_of(&state);
    assert_eq!(other.next_user(), UserId(3));
    assert_eq!(other.next_session(), SessionId(2));
}

#[test]
fn renamed_user_is_found_by_the_new_name_alone() {
    let mut state = usual();
    change(&mut state, "ada", |ada| ada.username = "Countess".into());
    assert!(state.user_named("ada").is_none());
    assert_eq!(state.user_named("Countess").unwrap().id, UserId(2));
    assert_eq!(state.user_count(), 2);
    let names: Vec<_> = state.users().map(|user| &*user.username).collect();
    assert_eq!(names, ["Countess", "root"]);
    assert!(state.is_taken("COUNTESS", None));
    assert!(!state.is_taken("countess", Some(UserId(2))));
    assert!(!state.is_taken("ada", None));
}

/// What is removed at which time: sessions and access tokens when they expire, and all tokens with
/// their session.
#[test]
fn expired_sessions_and_tokens_are_found_in_small_steps() {
    let mut state = logged_in(None).0;
    for number in 0..5 {
        let token = AccessToken {
            session: SessionId(1),
            scopes: Scopes::NONE,
            issued: NOW,
            expires: after(10),
        };
        let digest = TokenDigest::of(&format!("{number}"));
        state.apply(Change::PutAccessToken(digest, token));
    }
    assert!(state.expired(after(9), 2).is_empty());
    // Five access tokens, at most two at a time.
    let steps = state.expired(after(10), 2);
    let sizes: Vec<_> = steps
        .iter()
        .map(|step| match &step[..] {
            [Change::ForgetAccessTokens(digests)] => digests.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [2, 2, 1]);
    // With the session, everything.
    let remove = |state: &mut State, now| {
        for change in state.expired(now, 2).into_iter().flatten() {
            state.apply(change);
        }
    };
    remove(&mut state, after(179_999));
    assert_eq!(state.token_count(), 2);
    assert!(state.session(SessionId(1)).is_some());
    remove(&mut state, after(180_000));
    assert_eq!(state.token_count(), 0);
    assert!(state.session(SessionId(1)).is_none());
    // Tokens of a session that ended before.
    let mut state = logged_in(None).0;
    state.apply(Change::EndSession(SessionId(1)));
    remove(&mut state, NOW);
    assert_eq!(state.token_count(), 0);
}

// Priorities on a full disk.

#[test]
fn administration_is_what_the_console_and_administrators_ask_for() {
    let state = usual();
    let by = |name: &str| Caller {
        principal: Some(PrincipalId {
            user: state.user_named(name).unwrap().id,
            session: SessionId(1),
        }),
        ..caller()
    };
    let session_of = |name: &str| {
        vec![Change::PutSession(Session {
            id: SessionId(1),
            user: state.user_named(name).unwrap().id,
            grant: Scopes::NONE,
            expires: NOW,
        })]
    };
    let console = Caller::anonymous(Origin::Console, None);
    let service = {
        let mut state = usual();
        state.apply(Change::PutUser(user(3, "svc", Service)));
        state
    };
    let by_service = Caller {
        principal: Some(PrincipalId {
            user: UserId(3),
            session: SessionId(1),
        }),
        ..caller()
    };
    use Priority::{Administration, Ordinary};
    for (state, caller, changes, priority) in [
        (&state, &console, Vec::new(), Administration),
        (&state, &by("root"), Vec::new(), Administration),
        (&state, &caller(), session_of("root"), Administration),
        (&state, &caller(), Vec::new(), Ordinary),
        (&state, &by("ada"), Vec::new(), Ordinary),
        (&state, &caller(), session_of("ada"), Ordinary),
        (&service, &by_service, Vec::new(), Ordinary),
    ] {
        let found = Priority::of(state, caller, &changes);
        assert_eq!(found, priority, "{caller:?} {changes:?}");
    }
}

#[test]
fn only_refused_logins_count_without_being_recorded() {
    let state = usual();
    let wrong = try_login(&state, &attempt(&state, "ada", false), NOW, None);
    assert!(wrong.is_refused_login());
    let right = try_login(&state, &attempt(&state, "ada", true), NOW, None);
    assert!(!right.is_refused_login());
    assert!(!Decision::reply(()).is_refused_login());
    let mut refusals = Refusals::default();
    refusals.count_unrecorded(&wrong.events, NOW);
    let [summary] = &refusals.all()[..] else {
        panic!("no summary")
    };
    assert_eq!(
        summary.message,
        "1 further login was refused within a minute: wrong password."
    );
}
