//! Property tests of the rules, with the clock and the random source under the test's control. After
//! any sequence of steps, tokens have no scopes beyond the session's ceiling, a refresh token works
//! only once apart from the grace period, and failed logins are counted.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use auth_server::domain::access_control;
use auth_server::domain::audit::Origin;
use auth_server::domain::authority::Caller;
use auth_server::domain::decision::{Context, Decision};
use auth_server::domain::issue::{Issued, REFRESH_GRACE};
use auth_server::domain::passwords::{NewPassword, Password, PasswordHash};
use auth_server::domain::random::Random;
use auth_server::domain::scopes::{Scope, Scopes};
use auth_server::domain::sessions::{
    log_in, refresh, revoke, Attempt, LoginOutcome, RefreshOutcome,
};
use auth_server::domain::settings::{self, Setting, SettingsPatch, Value};
use auth_server::domain::state::State;
use auth_server::domain::time::{Moment, Reading, Timeline};
use auth_server::domain::tokens::{Handle, Presented, Token};
use auth_server::domain::users::rules::{self, NewUser, UserPatch};
use auth_server::domain::users::Failed;
use auth_server::domain::users::{AccountType, UserId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Source of bytes that are never the same twice, in place of random ones.
struct Counter(u64);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Step of a test: an action of a user or an administrator, or the passage of time. Indices select
/// one of the existing users or tokens.
#[derive(Clone, Debug)]
enum Step {
    LogIn {
        user: usize,
        right: bool,
        asked: Option<u32>,
    },
    /// Wrong passwords, one after the other.
    FailLogins {
        user: usize,
        times: u8,
    },
    Refresh {
        token: usize,
        asked: Option<u32>,
    },
    Revoke {
        token: usize,
    },
    EnableAccessControl,
    Wait(i64),
    Limit(Option<u32>),
    IdleLogout(u16),
    Scopes(bool, bool, bool),
    Complexity(Option<u32>),
    PasswordAge(Option<u32>),
    Retype(usize, AccountType),
    Lock(usize, bool),
    ForceReset(usize),
    SetPassword(usize),
    Delete(usize),
    KeepHouse,
}

fn account_type() -> impl Strategy<Value = AccountType> {
    prop::sample::select(AccountType::ALL.to_vec())
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..4_usize;
    prop_oneof![
        6 => (user.clone(), any::<bool>(), prop::option::of(0..1_u32 << 17))
            .prop_map(|(user, right, asked)| Step::LogIn { user, right, asked }),
        3 => user.clone().prop_map(|user| Step::LogIn { user, right: true, asked: None }),
        2 => (user.clone(), 1..9_u8).prop_map(|(user, times)| Step::FailLogins { user, times }),
        8 => (any::<usize>(), prop::option::of(0..1_u32 << 17))
            .prop_map(|(token, asked)| Step::Refresh { token, asked }),
        1 => any::<usize>().prop_map(|token| Step::Revoke { token }),
        1 => Just(Step::EnableAccessControl),
        1 => (0..300_000_000_i64).prop_map(Step::Wait),
        6 => (0..200_000_i64).prop_map(Step::Wait),
        2 => (0..12_000_i64).prop_map(Step::Wait),
        1 => prop::option::of(1..6_u32).prop_map(Step::Limit),
        1 => (1..400_u16).prop_map(Step::IdleLogout),
        2 => any::<(bool, bool, bool)>().prop_map(|(a, b, c)| Step::Scopes(a, b, c)),
        1 => prop::option::of(1..20_u32).prop_map(Step::Complexity),
        1 => prop::option::of(86_400..200_000_u32).prop_map(Step::PasswordAge),
        1 => (user.clone(), account_type()).prop_map(|(user, kind)| Step::Retype(user, kind)),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, on)| Step::Lock(user, on)),
        1 => user.clone().prop_map(Step::ForceReset),
        1 => user.clone().prop_map(Step::SetPassword),
        1 => user.prop_map(Step::Delete),
        1 => Just(Step::KeepHouse),
    ]
}

/// Expected state of a session.
#[derive(Clone, Debug)]
struct Known {
    user: UserId,
    grant: Scopes,
    ended: bool,
    access: Vec<(Presented, Moment)>,
    refresh: Vec<(Presented, Moment, Option<Moment>)>,
}

/// State under test, and what the test expects of it.
struct World {
    state: State,
    now: Moment,
    random: Counter,
    logins: Vec<Known>,
    /// Expected number of failed logins of each user.
    failures: HashMap<UserId, u32>,
    /// Outcomes, out of [`OUTCOMES`], that have occurred.
    seen: RefCell<BTreeSet<&'static str>>,
}

/// Outcomes that must occur at least once during the test. Without this check, rules that refuse
/// everything would pass.
const OUTCOMES: [&str; 21] = [
    "access control turned on",
    "access token active",
    "access token active while a new password is required",
    "account locked by failed logins",
    "expired state forgotten",
    "login granted",
    "login granted with fewer scopes",
    "login refused for excessive scopes",
    "login throttled",
    "login refused to a locked account",
    "login refused with a wrong password",
    "refresh granted",
    "refresh granted a second time within the grace period",
    "refresh refused",
    "refresh refused for excessive scopes",
    "session ended by reuse of a refresh token",
    "session revoked",
    "settings changed",
    "user changed",
    "user deleted",
    "user's password changed",
];

fn password(text: &str) -> NewPassword {
    NewPassword {
        traits: Password::new(text.into()).traits(),
        comparison: None,
    }
}

fn caller() -> Caller {
    Caller::anonymous(Origin::Http, None)
}

fn seconds_of(seconds: u64) -> Value {
    Value::Duration(Duration::from_secs(seconds))
}

fn patch(values: &[(&str, Value)]) -> SettingsPatch {
    let mut patch = SettingsPatch::default();
    for (name, value) in values {
        patch.add(Setting::named(name).unwrap(), *value);
    }
    patch
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            now: Moment(1_000_000),
            random: Counter(0),
            logins: Vec::new(),
            failures: HashMap::new(),
            seen: RefCell::default(),
        };
        for (name, account_type) in ["a", "b", "c", "d"].into_iter().zip(AccountType::ALL) {
            let new = NewUser {
                username: name.into(),
                full_name: name.into(),
                account_type,
                temporary: name == "b",
            };
            let caller = caller();
            let password = password("a-password");
            let plan = rules::create(&world.state, world.now, &caller, &new, &password);
            let plan = plan.unwrap()(PasswordHash::from_phc("a-password".into()));
            world.apply(plan);
        }
        world
    }

    fn saw(&self, outcome: &'static str) {
        self.seen.borrow_mut().insert(outcome);
    }

    fn apply<T>(&mut self, plan: Decision<T>) -> T {
        for event in &plan.events {
            assert!(!event.message.contains("a-password"));
        }
        for change in plan.changes {
            self.state.apply(change);
        }
        plan.reply
    }

    fn decide<T>(&mut self, rule: impl FnOnce(&State, &mut Context) -> Decision<T>) -> T {
        let mut context = Context {
            now: self.now,
            random: &mut self.random,
        };
        let plan = rule(&self.state, &mut context);
        self.apply(plan)
    }

    fn name(user: usize) -> &'static str {
        ["a", "b", "c", "d"][user]
    }

    fn attempt(&self, user: usize, right: bool) -> Attempt {
        let found = self.state.user_named(Self::name(user));
        Attempt {
            user: found.map(|user| user.id),
            checked: found.map_or_else(
                || PasswordHash::from_phc("none".into()),
                |user| user.password.clone(),
            ),
            right,
            rehashed: None,
        }
    }

    fn change(
        &mut self,
        user: usize,
        patch: &UserPatch,
        new: Option<(&NewPassword, &PasswordHash)>,
    ) {
        let (state, name, caller) = (&self.state, Self::name(user), caller());
        let plan = match new {
            None => rules::update(state, &caller, name, patch),
            Some((password, hash)) => {
                rules::update_with_password(state, self.now, &caller, name, patch, password)
                    .map(|decide| decide(hash.clone()))
            }
        };
        if let Ok(plan) = plan {
            let unlocks = patch.locked == Some(false);
            if !plan.changes.is_empty() {
                self.saw(match new {
                    None => "user changed",
                    Some(_) => "user's password changed",
                });
            }
            let changed = self.apply(plan);
            if unlocks {
                self.failures.insert(changed.id, 0);
            }
        }
    }

    fn settings(&mut self, values: &[(&str, Value)]) {
        let patch = &patch(values);
        if let Ok(plan) = settings::rules::patch(&self.state, &caller(), patch) {
            if !plan.changes.is_empty() {
                self.saw("settings changed");
            }
            self.apply(plan);
        }
    }

    fn issued(&mut self, login: usize, issued: &Issued) {
        let expires = self.now + issued.lifetime;
        let known = &mut self.logins[login];
        let presented = |token: &Token| Presented::of(token.expose());
        known.access.push((presented(&issued.access), expires));
        known
            .refresh
            .push((presented(&issued.refresh), expires, None));
        assert!(
            issued.scopes.is_subset(known.grant),
            "the issued scopes exceed the ceiling"
        );
    }

    fn locked(&self, id: UserId) -> bool {
        self.state
            .user(id)
            .map_or(true, |user| self.state.lock_policy().is_locked(user))
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::LogIn { user, right, asked } => self.log_in(*user, *right, *asked),
            Step::FailLogins { user, times } => {
                for _ in 0..*times {
                    self.log_in(*user, false, None);
                }
            }
            Step::Refresh { token, asked } => self.refresh(*token, *asked),
            Step::Revoke { token } => self.revoke(*token),
            Step::EnableAccessControl => {
                if let Ok(plan) = access_control::enable(&self.state, &caller()) {
                    self.apply(plan);
                    assert!(self.state.access_control());
                    self.saw("access control turned on");
                    for known in &mut self.logins {
                        known.ended = true;
                    }
                }
            }
            Step::Wait(milliseconds) => self.now = Moment(self.now.0 + *milliseconds),
            Step::Limit(limit) => self.settings(&[(
                "maxNumberOfLoginAttempts",
                limit.map_or(Value::Null, Value::Integer),
            )]),
            Step::IdleLogout(seconds) => {
                self.settings(&[("idleLogout", seconds_of(u64::from(*seconds)))])
            }
            Step::Scopes(updates, protocols, signoff) => self.settings(&[
                (
                    "requireAdminCredsWhenUpdatingRobotSoftware",
                    Value::Boolean(*updates),
                ),
                (
                    "requireAdminCredsWhenSendingProtocolToRobot",
                    Value::Boolean(*protocols),
                ),
                (
                    "requireAdminCredsForSignoffProtocol",
                    Value::Boolean(*signoff),
                ),
            ]),
            Step::Complexity(length) => self.settings(&[(
                "passwordComplexityMinimumLength",
                length.map_or(Value::Null, Value::Integer),
            )]),
            Step::PasswordAge(seconds) => self.settings(&[(
                "passwordResetTime",
                seconds.map_or(Value::Null, |seconds| seconds_of(u64::from(seconds))),
            )]),
            Step::Retype(user, account_type) => {
                let patch = UserPatch {
                    account_type: Some(*account_type),
                    ..UserPatch::default()
                };
                self.change(*user, &patch, None);
            }
            Step::Lock(user, on) => {
                let patch = UserPatch {
                    locked: Some(*on),
                    ..UserPatch::default()
                };
                self.change(*user, &patch, None);
            }
            Step::ForceReset(user) => {
                let patch = UserPatch {
                    reset_password: true,
                    ..UserPatch::default()
                };
                self.change(*user, &patch, None);
            }
            Step::SetPassword(user) => {
                let text = "a-password-that-is-long-enough".repeat(2);
                let (new, hash) = (password(&text), PasswordHash::from_phc(text));
                self.change(*user, &UserPatch::default(), Some((&new, &hash)));
            }
            Step::Delete(user) => {
                if let Ok(plan) = rules::delete(&self.state, &caller(), Self::name(*user)) {
                    self.apply(plan);
                    assert!(self.state.user_named(Self::name(*user)).is_none());
                    self.saw("user deleted");
                }
            }
            Step::KeepHouse => {
                for changes in self.state.expired(self.now, 3) {
                    self.saw("expired state forgotten");
                    for change in changes {
                        self.state.apply(change);
                    }
                }
                self.state.shrink();
            }
        }
    }

    fn waits(&self, user: usize) -> bool {
        let failed = self.failed(user);
        let found = self.state.user_named(Self::name(user));
        found.is_some_and(|user| {
            let policy = self.state.lock_policy();
            policy.must_wait(user, failed, self.now).is_some()
        })
    }

    /// Failed logins to an account, as if all came from one source.
    fn failed(&self, user: usize) -> Failed {
        let found = self.state.user_named(Self::name(user));
        found.map_or_else(Failed::default, |user| Failed {
            count: user.failed_logins,
            last: user.last_failed_login,
        })
    }

    /// Compares the number of failed logins with the expected one.
    fn count(&mut self, id: Option<UserId>, right: bool, was_locked: bool, waits: bool) {
        let Some(id) = id else { return };
        let count = self.failures.entry(id).or_insert(0);
        match (right, was_locked, waits) {
            (_, _, true) | (_, true, false) => {}
            (true, false, false) => *count = 0,
            (false, false, false) => *count += 1,
        }
        let user = self.state.user(id).unwrap();
        assert_eq!(user.failed_logins, *count);
        let limit = self.state.settings().max_login_attempts;
        let policy = self.state.lock_policy();
        let by_count = limit.is_some_and(|limit| *count >= limit) && !policy.slows(user);
        assert_eq!(policy.is_locked(user), user.locked_by_admin || by_count);
        if by_count {
            self.saw("account locked by failed logins");
        }
    }

    fn log_in(&mut self, user: usize, right: bool, asked: Option<u32>) {
        let asked = asked.map(Scopes::from_bits);
        let attempt = self.attempt(user, right);
        let was_locked = attempt.user.map_or(true, |id| self.locked(id));
        let waits = self.waits(user);
        let failed = self.failed(user);
        let outcome = self
            .decide(|state, context| log_in(state, context, &caller(), &attempt, failed, asked));
        match &outcome {
            LoginOutcome::Granted(issued) => {
                assert!(right && !was_locked && !waits);
                let id = attempt.user.unwrap();
                let user = self.state.user(id).unwrap();
                let own = user.account_type.scopes(self.state.settings());
                assert!(asked.map_or(true, |asked| asked.is_subset(own.or(Scopes::SELF_ONLY))));
                self.saw("login granted");
                if asked.is_some_and(|asked| asked != own) {
                    self.saw("login granted with fewer scopes");
                }
                let grant = asked.unwrap_or(Scopes::UNBOUNDED);
                self.logins.push(Known {
                    user: id,
                    grant,
                    ended: false,
                    access: Vec::new(),
                    refresh: Vec::new(),
                });
                self.issued(self.logins.len() - 1, issued);
            }
            LoginOutcome::Refused { locked, .. } => {
                assert!(!right || was_locked);
                self.saw(match was_locked {
                    true => "login refused to a locked account",
                    false => "login refused with a wrong password",
                });
                assert_eq!(*locked, attempt.user.is_some_and(|id| self.locked(id)));
            }
            LoginOutcome::ExcessiveScope => {
                let user = self.state.user(attempt.user.unwrap()).unwrap();
                let own = user.account_type.scopes(self.state.settings());
                assert!(right && asked.is_some_and(|asked| !asked.is_subset(own)));
                self.saw("login refused for excessive scopes");
                return;
            }
            LoginOutcome::MustWait { seconds } => {
                assert!(waits && *seconds > 0);
                self.saw("login throttled");
            }
        }
        self.count(attempt.user, right, was_locked, waits);
    }

    fn refresh(&mut self, token: usize, asked: Option<u32>) {
        let asked = asked.map(Scopes::from_bits);
        let all: Vec<_> = self
            .logins
            .iter()
            .enumerate()
            .flat_map(|(login, known)| (0..known.refresh.len()).map(move |each| (login, each)))
            .collect();
        if all.is_empty() {
            return;
        }
        let (login, each) = all[token % all.len()];
        let (presented, expires, used) = self.logins[login].refresh[each].clone();
        let was_alive = self.is_alive(login);
        let user = self.state.user(self.logins[login].user);
        let is_locked = user.map_or(true, |user| user.locked_by_admin);
        let outcome =
            self.decide(|state, context| refresh(state, context, &caller(), &presented, asked));
        match outcome {
            RefreshOutcome::Granted { issued, .. } => {
                assert!(was_alive, "an ended session was refreshed");
                assert!(expires > self.now, "an expired refresh token worked");
                assert!(
                    used.map_or(true, |used| used + REFRESH_GRACE > self.now),
                    "a refresh token worked twice"
                );
                assert!(asked.map_or(true, |asked| asked.is_subset(self.logins[login].grant)));
                self.saw(match used {
                    None => "refresh granted",
                    Some(_) => "refresh granted a second time within the grace period",
                });
                self.logins[login].refresh[each].2 = Some(used.unwrap_or(self.now));
                self.issued(login, &issued);
            }
            RefreshOutcome::Refused => {
                self.saw("refresh refused");
                if was_alive && used.is_some_and(|used| used + REFRESH_GRACE <= self.now) {
                    assert!(
                        !self.is_alive(login),
                        "reuse of a refresh token must end the session"
                    );
                    self.logins[login].ended = true;
                    self.saw("session ended by reuse of a refresh token");
                } else {
                    assert!(
                        !was_alive || is_locked || expires <= self.now,
                        "a valid refresh token was refused"
                    );
                }
            }
            RefreshOutcome::ExcessiveScope => {
                let user = self.state.user(self.logins[login].user).unwrap();
                let own = user.account_type.scopes(self.state.settings());
                assert!(!asked.unwrap().is_subset(self.logins[login].grant.and(own)));
                self.saw("refresh refused for excessive scopes");
            }
        }
    }

    fn revoke(&mut self, token: usize) {
        if self.logins.is_empty() {
            return;
        }
        let login = token % self.logins.len();
        let presented = self.logins[login].access[0].0.clone();
        let known = self.state.access_token(&presented.digest).is_some();
        let was_alive = self.is_alive(login);
        self.decide(|state, _| revoke(state, &caller(), &presented));
        if known {
            self.logins[login].ended = true;
            assert!(!self.is_alive(login), "the session was not ended");
            if was_alive {
                self.saw("session revoked");
            }
        }
    }

    /// Returns whether the session still exists.
    fn is_alive(&self, login: usize) -> bool {
        let known = &self.logins[login];
        let ids: HashSet<_> = known
            .access
            .iter()
            .filter_map(|(presented, _)| {
                let token = self.state.access_token(&presented.digest);
                token.map(|token| token.session)
            })
            .chain(known.refresh.iter().filter_map(|(presented, ..)| {
                let token = self.state.refresh_token(&presented.digest);
                token.map(|token| token.session)
            }))
            .collect();
        ids.into_iter().any(|id| self.state.session(id).is_some())
    }

    /// Checks the invariants, which must hold after each step.
    fn check(&self) {
        if self.state.access_control() {
            assert!(
                self.state.has_able_admin(None),
                "no administrator can log in"
            );
        }
        for known in &self.logins {
            for (presented, expires) in &known.access {
                let Some(principal) = self.state.authenticate(&presented.digest, self.now) else {
                    continue;
                };
                let user = principal.user;
                self.saw("access token active");
                assert!(*expires > self.now, "an expired token is active");
                assert!(!known.ended, "a token of an ended session is active");
                assert_eq!(user.id, known.user);
                assert!(!user.locked_by_admin, "a token of a locked user is active");
                assert!(
                    principal.scopes.is_subset(known.grant),
                    "scopes exceed the ceiling"
                );
                let own = user.account_type.scopes(self.state.settings());
                let may = own.or(Scopes::SELF_ONLY);
                assert!(
                    principal.scopes.is_subset(may),
                    "scopes exceed those of the account"
                );
                let must = user.reset_reason(self.state.settings(), self.now);
                if must != auth_server::domain::users::ResetPasswordReason::None {
                    assert!(principal.scopes.is_subset(Scopes::SELF_ONLY));
                    self.saw("access token active while a new password is required");
                }
            }
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn invariants_hold_after_any_sequence_of_steps() {
    let seen = RefCell::new(BTreeSet::new());
    let steps = prop::collection::vec(step(), 1..120);
    let outcome = TestRunner::new(config()).run(&steps, |steps| {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            world.check();
        }
        seen.borrow_mut().append(&mut world.seen.borrow_mut());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen.into_inner(), BTreeSet::from(OUTCOMES));
}

proptest! {
    #![proptest_config(config())]

    /// However the wall clock is set, before or after a reboot, the timeline advances by the time
    /// that has passed.
    #[test]
    fn timeline_is_independent_of_the_wall_clock(
        events in prop::collection::vec((0..100_000_i64, -10_000_000_000..10_000_000_000_i64, 0..3_u8), 1..40),
    ) {
        let (mut boot, mut uptime, mut wall) = (0, 5_000_i64, 1_700_000_000_000_i64);
        let reading = |boot: i32, uptime, wall| Reading { boot: boot.to_string(), uptime, wall };
        let mut timeline = Timeline::resume(None, &reading(boot, uptime, wall));
        let begun = timeline.moment(uptime);
        let mut mark = timeline.mark(reading(boot, uptime, wall));
        let mut passed = 0;
        for (elapsed, jump, what) in events {
            passed += elapsed;
            wall += elapsed;
            uptime += elapsed;
            match what {
                // The wall clock is set, and the server stores a mark.
                0 => {
                    wall += jump;
                    mark = timeline.mark(reading(boot, uptime, wall));
                }
                // The service restarts; the wall clock may be set in the meantime.
                1 => {
                    wall += jump;
                    timeline = Timeline::resume(Some(&mark), &reading(boot, uptime, wall));
                    mark = timeline.mark(reading(boot, uptime, wall));
                }
                // The robot reboots; the wall clock keeps running.
                _ => {
                    boot += 1;
                    uptime = 3_000;
                    timeline = Timeline::resume(Some(&mark), &reading(boot, uptime, wall));
                    mark = timeline.mark(reading(boot, uptime, wall));
                }
            }
            prop_assert_eq!(timeline.moment(uptime).0 - begun.0, passed);
        }
    }

    #[test]
    fn temporary_passwords_satisfy_every_policy(length in 1..200_u32, seed in any::<u64>()) {
        let settings = patch(&[
            ("passwordComplexityMinimumLength", Value::Integer(length)),
            ("passwordComplexitySpecialCharacters", Value::Boolean(true)),
        ])
        .applied_to(&Default::default())
        .unwrap();
        let password = Password::temporary(&settings, &mut Counter(seed >> 1));
        prop_assert!(password.check().is_ok());
        prop_assert!(password.traits().faults(&settings).is_empty());
    }

    #[test]
    fn scopes_survive_formatting_and_storage(bits in 0..1_u32 << 17) {
        let scopes = Scopes::from_bits(bits);
        prop_assert_eq!(Scopes::parse(&scopes.to_string()), Some(scopes));
        prop_assert_eq!(Scopes::from_bits(scopes.bits()), scopes);
        let mut names = scopes.names();
        names.sort_unstable();
        prop_assert_eq!(names, scopes.names());
    }
}

#[test]
fn wall_clock_that_is_behind_after_a_reboot_extends_sessions() {
    let reading = |boot: &str, uptime, wall| Reading {
        boot: boot.into(),
        uptime,
        wall,
    };
    let timeline = Timeline::resume(None, &reading("a", 0, 1_000_000));
    let mark = timeline.mark(reading("a", 60_000, 1_060_000));
    let after = Timeline::resume(Some(&mark), &reading("b", 3_000, 5_000));
    assert_eq!(after.moment(3_000), mark.moment);
}

/// A failed login can change which administrator is exempt from locking, so the response must
/// describe the state after it.
#[test]
fn failures_of_two_administrators_in_one_instant_say_who_is_locked() {
    let mut world = World::new();
    for user in 0..4 {
        let admin = UserPatch {
            account_type: Some(AccountType::Admin),
            ..UserPatch::default()
        };
        let named = World::name(user);
        let is_service = world
            .state
            .user_named(named)
            .is_some_and(|user| user.account_type == AccountType::Service);
        if !is_service {
            world.change(user, &admin, None);
        }
    }
    world.run(&Step::Limit(Some(1)));
    world.run(&Step::EnableAccessControl);
    let admins = world
        .state
        .users()
        .filter(|user| user.account_type == AccountType::Admin)
        .count();
    assert!(admins > 1);
    for user in (0..4).chain(0..4) {
        // This compares the response with the state.
        world.log_in(user, false, None);
    }
}

#[test]
fn secrets_are_hidden_from_debug_output() {
    let password = Password::new("very-secret".into());
    let hash = PasswordHash::from_phc("$argon2id$secret".into());
    let token = Token::access(&mut Counter(7));
    let shown = format!("{password:?} {hash:?} {token:?} {:?}", token.digest());
    assert_eq!(shown.matches("hidden").count(), 2, "{shown}");
    assert_eq!(shown.matches("REDACTED").count(), 2, "{shown}");
    let refresh = Token::refresh(&Handle::generate(&mut Counter(8)), &mut Counter(9));
    let presented = format!("{:?}", Presented::of(refresh.expose()));
    assert!(!presented.contains(&refresh.expose()[..24]), "{presented}");
    let digest = auth_server::domain::audit::hex(&token.digest().0);
    for secret in ["very-secret", "$argon2id", token.expose(), &digest] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn scopes_are_sorted_by_name() {
    assert_eq!(Scope::ALL.len(), 17);
    assert!(Scope::ALL
        .windows(2)
        .all(|two| two[0].name() < two[1].name()));
}
