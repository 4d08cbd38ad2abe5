//! People of the lab's directory: logging in through it, while it is away, and being looked up again. A
//! stand-in for `opentrons-auth-directory` answers at a Unix socket.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use auth_server::directory::client::Client;
use auth_server::directory::protocol::{Answer, Operation, Request as Question, MAX_REQUESTS};
use auth_server::domain::audit::Origin;
use auth_server::domain::authority::{Caller, Request};
use auth_server::domain::change::Change;
use auth_server::domain::decision::Decision;
use auth_server::domain::directory::draft::Draft;
use auth_server::domain::directory::rules;
use auth_server::domain::directory::{Barred, Directory, DirectoryId, Groups, Kind, Names, Person};
use auth_server::domain::error::RuleError;
use auth_server::domain::issue::Issued;
use auth_server::domain::passwords::{Password, PasswordHash};
use auth_server::domain::scopes::{Scope, Scopes};
use auth_server::domain::sessions::{LoginOutcome, RefreshOutcome};
use auth_server::domain::settings::{Setting, SettingsPatch, Value};
use auth_server::domain::state::State;
use auth_server::domain::time::Moment;
use auth_server::domain::tokens::{Presented, TokenDigest};
use auth_server::domain::users::rules::UserPatch;
use auth_server::domain::users::{AccountType, ResetPasswordReason, User};
use auth_server::service::hashing::{Account, HashError, Hasher, Share};
use auth_server::service::{Service, ServiceError};
use auth_server::store::{backup, AuditLog, Store};
use tempfile::TempDir;

use AccountType::{Admin, Auditor};

/// Timeout of each event that a test waits for; only a broken service exceeds it.
const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "correct horse";
const OTHER_CA: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

/// Entry of the stand-in's directory.
#[derive(Clone)]
struct Entry {
    person: Person,
    password: String,
    barred: Option<Barred>,
}

/// What the stand-in knows and was asked.
#[derive(Default)]
struct Known {
    entries: Vec<Entry>,
    /// Questions so far: the operation, and the name or identifier.
    asked: Vec<String>,
    /// Bytes to answer with, in place of what is known.
    garbage: Option<Vec<u8>>,
    /// Person who cannot be looked up.
    failing: Option<DirectoryId>,
}

impl Known {
    fn answer(&self, operation: &Operation) -> Answer {
        let (found, password) = match operation {
            Operation::Verify { name, password } => {
                let is_named = |entry: &&Entry| entry.person.username.eq_ignore_ascii_case(name);
                let found: Vec<_> = self.entries.iter().filter(is_named).collect();
                (found, Some(password.expose()))
            }
            Operation::LookUp { id } if self.failing.as_ref() == Some(id) => {
                return Answer::Unavailable("the entry cannot be read".into());
            }
            Operation::LookUp { id } => {
                let is_it = |entry: &&Entry| entry.person.id == *id;
                (self.entries.iter().filter(is_it).collect(), None)
            }
            Operation::Test => return Answer::Tested(vec!["it works".into()]),
        };
        match found[..] {
            [] => Answer::NobodyFound,
            [entry] => match entry.barred {
                Some(barred) => Answer::Barred(barred),
                None if password.is_some_and(|password| password != entry.password) => {
                    Answer::WrongPassword
                }
                None => Answer::Found(entry.person.clone()),
            },
            _ => Answer::SeveralFound,
        }
    }

    fn serve(known: &Mutex<Self>, mut stream: UnixStream) -> io::Result<()> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut question)?;
        let question: Question = serde_json::from_slice(&question)?;
        let mut known = known.lock().unwrap();
        known.asked.push(match &question.operation {
            Operation::Verify { name, .. } => format!("verify {name}"),
            Operation::LookUp { id } => format!("look up {}", id.as_text()),
            Operation::Test => "test".into(),
        });
        if let Some(garbage) = &known.garbage {
            return stream.write_all(garbage);
        }
        stream.write_all(&framed(&known.answer(&question.operation)))
    }
}

fn framed(answer: &Answer) -> Vec<u8> {
    let body = serde_json::to_vec(answer).unwrap();
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], &body].concat()
}

fn id(number: u32) -> DirectoryId {
    DirectoryId::from_text(format!("{number:032x}")).unwrap()
}

fn directory() -> Directory {
    Directory {
        kind: Kind::Ldap,
        servers: vec!["ldaps://ldap.lab.example".into()],
        ca: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n".into(),
        base: "dc=lab,dc=example".into(),
        names: Names::Filter("(uid={name})".into()),
        bind_name: "cn=robot,dc=lab,dc=example".into(),
        bind_password: Password::new("bind secret".into()),
        full_name_attribute: "cn".into(),
        groups: Groups {
            users: vec!["cn=users,dc=lab,dc=example".into()],
            ..Groups::default()
        },
        offline_days: 7,
        max_wrong_passwords: 3,
    }
}

/// A robot with the local administrator `root`, and a directory.
struct Robot {
    service: Service,
    hasher: Arc<Hasher>,
    known: Arc<Mutex<Known>>,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Robot {
    /// Starts a robot whose directory has the user `ada`, with the identifier 1.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("directory.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let known = Arc::new(Mutex::new(Known::default()));
        let shared = Arc::clone(&known);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has gone is none of the stand-in's business.
                let _gone = Known::serve(&shared, stream.unwrap());
            }
        });
        let store = Store::open(folder.path(), |_, _| {}).unwrap();
        let hasher = Arc::new(Hasher::start().unwrap());
        let robot = Self {
            service: Service::new(Arc::new(store), Arc::clone(&hasher))
                .with_directory(Client::new(socket)),
            hasher,
            known,
            folder,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        };
        robot.create("root", Admin);
        robot.apply(vec![Change::PutDirectory(Some(Arc::new(directory())))]);
        robot.put(1, "ada", "Ada L", Some(AccountType::User));
        robot
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
    }

    /// Waits, while everything that was begun goes on, until `check` holds.
    fn until(&self, what: &str, check: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check() {
            assert!(Instant::now() < deadline, "not seen: {what}");
            self.wait(async { tokio::time::sleep(Duration::from_millis(5)).await });
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// Adds a person to the directory, or replaces the one with the same identifier.
    fn put(&self, number: u32, name: &str, full_name: &str, account_type: Option<AccountType>) {
        let mut known = self.known();
        known.entries.retain(|entry| entry.person.id != id(number));
        known.entries.push(Entry {
            person: Person {
                id: id(number),
                username: name.into(),
                full_name: Some(full_name.into()),
                account_type,
            },
            password: PASSWORD.into(),
            barred: None,
        });
    }

    fn bar(&self, number: u32, barred: Option<Barred>) {
        for entry in &mut self.known().entries {
            if entry.person.id == id(number) {
                entry.barred = barred;
            }
        }
    }

    fn forget(&self, number: u32) {
        self.known()
            .entries
            .retain(|entry| entry.person.id != id(number));
    }

    /// Sets whether the directory is away.
    fn away(&self, away: bool) {
        let answer = Answer::Unavailable("all servers are down".into());
        self.known().garbage = away.then(|| framed(&answer));
    }

    /// Returns the questions since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.known().asked)
    }

    fn apply(&self, changes: Vec<Change>) {
        let decision = Decision {
            changes,
            events: Vec::new(),
            reply: (),
        };
        let written = self
            .service
            .store()
            .write(move |_, _| Ok::<_, Infallible>(decision));
        self.wait(written).unwrap().unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut User)) {
        let mut user = self.user(name).unwrap();
        change(&mut user);
        self.apply(vec![Change::PutUser(user)]);
    }

    /// Changes what is known of a user as if so much time had passed.
    fn age(&self, name: &str, milliseconds: i64) {
        self.change(name, |user| {
            let of = user.directory.as_mut().unwrap();
            of.looked_up.0 -= milliseconds;
            of.confirmed = of.confirmed.map(|Moment(at)| Moment(at - milliseconds));
        });
    }

    fn configure(&self, change: impl FnOnce(&mut Directory)) {
        let mut directory = directory();
        change(&mut directory);
        self.apply(vec![Change::PutDirectory(Some(Arc::new(directory)))]);
    }

    fn create(&self, name: &str, account_type: AccountType) {
        let password = Some(Password::new(PASSWORD.into()));
        let full_name = format!("{name} the Local");
        let service = &self.service;
        let created =
            service.create_user(console(), name.into(), full_name, account_type, password);
        self.wait(created).unwrap();
    }

    fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.service.store().read(|state, _| look(state))
    }

    fn user(&self, name: &str) -> Option<User> {
        self.state(|state| state.user_named(name).cloned())
    }

    fn try_login_with(&self, name: &str, password: &str, asked: Option<Scopes>) -> LoginOutcome {
        let request = Request::open(None, None);
        let password = Password::new(password.into());
        self.wait(self.service.log_in(request, name, password, asked))
            .unwrap()
    }

    fn try_login(&self, name: &str, password: &str) -> LoginOutcome {
        self.try_login_with(name, password, None)
    }

    fn login(&self, name: &str) -> Issued {
        match self.try_login(name, PASSWORD) {
            LoginOutcome::Granted(issued) => issued,
            other => panic!("{other:?}: {:?}", self.events().last()),
        }
    }

    /// Fails a login, and returns the message of its last event.
    fn refused(&self, name: &str, password: &str) -> String {
        let outcome = self.try_login(name, password);
        let alike = LoginOutcome::Refused {
            attempts_remaining: None,
            locked: false,
        };
        assert_eq!(format!("{outcome:?}"), format!("{alike:?}"));
        self.events().pop().unwrap()
    }

    fn is_active(&self, issued: &Issued) -> bool {
        let digest = TokenDigest::of(issued.access.expose());
        self.service.introspect(&digest).is_some()
    }

    fn refresh(&self, issued: &Issued) -> RefreshOutcome {
        let presented = Presented::of(issued.refresh.expose());
        let request = Request::open(None, None);
        self.wait(self.service.refresh(request, presented, None))
            .unwrap()
    }

    fn look_up(&self, name: &str) -> bool {
        let user = self.user(name).unwrap();
        self.wait(self.service.look_up(user.id))
    }

    fn log_out(&self, name: &str) {
        let user = self.user(name).unwrap().id;
        self.apply(vec![Change::EndSessionsOf { user, except: None }]);
    }

    /// Returns the messages of the audit log.
    fn events(&self) -> Vec<String> {
        let mut found = Vec::new();
        let log = AuditLog::open(self.folder.path()).unwrap();
        log.each(|row| {
            found.push(row.row.event.message);
            Ok::<_, Infallible>(())
        })
        .unwrap()
        .unwrap();
        found
    }

    fn set(&self, name: &str, value: Value) {
        let mut patch = SettingsPatch::default();
        patch.add(Setting::named(name).unwrap(), value);
        self.wait(self.service.patch_settings(console(), patch))
            .unwrap();
    }

    fn update(&self, name: &str, patch: UserPatch) -> Option<RuleError> {
        let password = None;
        let updated = self
            .service
            .update_user(console(), name.into(), patch, password);
        broken(self.wait(updated))
    }
}

fn console() -> Request {
    Request::console("tester".into(), None)
}

fn broken<T>(done: Result<T, ServiceError>) -> Option<RuleError> {
    match done {
        Ok(_) => None,
        Err(ServiceError::Rule(rule)) => Some(rule),
        Err(other) => panic!("{other}"),
    }
}

// Logging in through the directory.

#[test]
fn first_login_makes_the_user_and_later_ones_know_them() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    let user = robot.user("ada").unwrap();
    assert_eq!(user.full_name, "Ada L");
    assert_eq!(user.account_type, AccountType::User);
    let of = user.directory.clone().unwrap();
    assert_eq!(of.id, id(1));
    assert!(of
        .confirmed
        .is_some_and(|confirmed| confirmed == of.looked_up));
    let digest = TokenDigest::of(issued.access.expose());
    let token = robot.service.introspect(&digest).unwrap();
    assert_eq!((&*token.username, &*token.full_name), ("ada", "Ada L"));
    robot.login("ada");
    assert!(robot.is_active(&issued));
    assert_eq!(robot.user("ada").unwrap().id, user.id);
    assert_eq!(robot.asked(), ["verify ada", "verify ada"]);
    assert_eq!(
        robot.events()[1..],
        [
            "Created the user \"ada\" (\"Ada L\"), who is a person of the lab's directory.",
            "\"ada\" (\"Ada L\") logged in through the lab's directory.",
            "\"ada\" (\"Ada L\") logged in through the lab's directory.",
        ]
    );
}

#[test]
fn group_determines_the_type_and_nobody_without_one_gets_in() {
    let robot = Robot::new();
    for (number, account_type) in [(2, Admin), (3, AccountType::User), (4, Auditor)] {
        let name = format!("person{number}");
        robot.put(number, &name, "P", Some(account_type));
        robot.login(&name);
        assert_eq!(robot.user(&name).unwrap().account_type, account_type);
    }
    // The directory has no service accounts.
    for (number, account_type) in [(5, None), (6, Some(AccountType::Service))] {
        let name = format!("person{number}");
        robot.put(number, &name, "P", account_type);
        assert_eq!(
            robot.refused(&name, PASSWORD),
            format!(
                "A login was refused: \"{name}\" of the directory is in no group that may use the \
                 robot."
            )
        );
        assert!(robot.user(&name).is_none());
    }
}

#[test]
fn person_without_names_that_can_be_shown_is_refused() {
    let robot = Robot::new();
    for (name, full_name, reason) in [
        ("eve", None, "no full name"),
        ("eve", Some("\u{202e}"), "no full name"),
        ("eve of the lab", Some("Eve"), "cannot be a username"),
        (
            "a-name-of-more-than-20",
            Some("Eve"),
            "cannot be a username",
        ),
    ] {
        robot.put(2, "eve", "", Some(AccountType::User));
        {
            // The stand-in finds `eve` by the name, and says something else of her.
            let mut known = robot.known();
            let mut person = known.entries.pop().unwrap().person;
            person.username = name.into();
            person.full_name = full_name.map(Into::into);
            known.garbage = Some(framed(&Answer::Found(person)));
        }
        let said = robot.refused("eve", PASSWORD);
        assert!(said.contains(reason), "{said}");
        robot.away(false);
    }
    assert_eq!(robot.state(State::user_count), 1);
}

#[test]
fn person_who_is_renamed_or_regrouped_stays_the_same_user() {
    let robot = Robot::new();
    let old = robot.login("ada");
    let user = robot.user("ada").unwrap();
    robot.put(1, "ada", "Ada King", Some(AccountType::User));
    robot.login("ada");
    assert!(robot.is_active(&old), "another full name ends no session");
    robot.put(1, "countess", "Ada King", Some(Admin));
    let new = robot.login("countess");
    assert!(!robot.is_active(&old) && robot.is_active(&new));
    assert!(robot.user("ada").is_none());
    let renamed = robot.user("countess").unwrap();
    assert_eq!((renamed.id, renamed.account_type), (user.id, Admin));
    let former = robot.state(|state| state.former_username("ada").cloned());
    assert_eq!(former.unwrap().user, user.id);
    let events = robot.events();
    assert!(events.contains(
        &"Changed the user \"ada\" (\"Ada L\"), as the lab's directory says: full name \"Ada L\" → \
          \"Ada King\"."
            .to_owned()
    ));
    assert!(events.contains(
        &"Changed the user \"ada\" (\"Ada King\"), as the lab's directory says: username \"ada\" → \
          \"countess\", account type user → admin."
            .to_owned()
    ));
}

#[test]
fn another_person_with_an_old_name_gets_nothing_of_the_former_one() {
    let robot = Robot::new();
    robot.apply(vec![Change::SetAccessControl(true)]);
    let issued = robot.login("ada");
    robot.forget(1);
    robot.put(2, "ada", "Ada B", Some(AccountType::User));
    let said = robot.refused("ada", PASSWORD);
    assert!(said.contains("the username of another account"), "{said}");
    // The former one is not in the directory any more, which was found out at once.
    assert!(!robot.is_active(&issued));
    assert!(!robot.user("ada").unwrap().has_verifier());
    // After the account was deleted, the username still belongs to somebody else.
    let deleted = robot.service.delete_user(console(), "ada".into());
    robot.wait(deleted).unwrap();
    let said = robot.refused("ada", PASSWORD);
    assert!(
        said.contains("a former user with a different full name"),
        "{said}"
    );
    assert!(robot.user("ada").is_none());
    robot.apply(vec![Change::SetAccessControl(false)]);
    robot.login("ada");
    assert_eq!(robot.user("ada").unwrap().directory.unwrap().id, id(2));
}

#[test]
fn people_who_swap_names_are_told_apart() {
    let robot = Robot::new();
    robot.put(2, "bea", "Bea", Some(AccountType::User));
    robot.login("ada");
    robot.login("bea");
    let (ada, bea) = (robot.user("ada").unwrap(), robot.user("bea").unwrap());
    robot.put(1, "carl", "Ada L", Some(AccountType::User));
    robot.put(2, "ada", "Bea", Some(AccountType::User));
    // The name is free as soon as its former owner was looked up.
    robot.login("ada");
    assert_eq!(robot.user("ada").unwrap().id, bea.id);
    assert_eq!(robot.user("carl").unwrap().id, ada.id);
}

#[test]
fn local_account_comes_first_and_its_name_is_nobody_elses() {
    let robot = Robot::new();
    robot.create("ada", AccountType::User);
    robot.known().entries[0].password = "of the directory".into();
    robot.login("ada");
    for (name, password) in [("ada", "of the directory"), ("ADA", "of the directory")] {
        assert!(!matches!(
            robot.try_login(name, password),
            LoginOutcome::Granted(_)
        ));
    }
    assert_eq!(robot.asked(), [""; 0]);
    // Nor does a person get it whom the directory finds by another name.
    let mut person = robot.known().entries[0].person.clone();
    person.username = "Ada".into();
    robot.known().garbage = Some(framed(&Answer::Found(person)));
    let said = robot.refused("countess", PASSWORD);
    assert!(said.contains("the username of another account"), "{said}");
}

#[test]
fn names_and_passwords_that_nobody_can_have_are_not_passed_on() {
    let robot = Robot::new();
    for (name, password) in [
        ("ada", ""),
        ("ada", &"x".repeat(1025)),
        ("", PASSWORD),
        (" ada", PASSWORD),
        ("ada\0", PASSWORD),
        ("àda", PASSWORD),
        ("..", PASSWORD),
        ("a-name-of-more-than-20", PASSWORD),
    ] {
        let said = robot.refused(name, password);
        assert_eq!(said, "A login was refused: there is no such user.");
    }
    assert_eq!(robot.asked(), [""; 0]);
}

#[test]
fn nobody_logs_in_without_a_directory() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    robot.apply(vec![Change::PutDirectory(None)]);
    robot.asked();
    let said = robot.refused("ada", PASSWORD);
    assert_eq!(said, "A login was refused: there is no such user.");
    assert!(matches!(robot.refresh(&issued), RefreshOutcome::Refused));
    assert_eq!(robot.asked(), [""; 0]);
}

#[test]
fn scopes_are_those_of_the_type() {
    let robot = Robot::new();
    let excessive = Scopes::of(&[Scope::UsersWrite]);
    let outcome = robot.try_login_with("ada", PASSWORD, Some(excessive));
    assert!(matches!(outcome, LoginOutcome::ExcessiveScope));
    assert!(robot.user("ada").is_none());
    // What the directory says of a user is taken over even so.
    robot.put(2, "bea", "Bea", Some(Admin));
    let issued = robot.login("bea");
    robot.put(2, "bea", "Bea", Some(AccountType::User));
    let outcome = robot.try_login_with("bea", PASSWORD, Some(excessive));
    assert!(matches!(outcome, LoginOutcome::ExcessiveScope));
    assert_eq!(robot.user("bea").unwrap().account_type, AccountType::User);
    assert!(!robot.is_active(&issued));
    let asked = Scopes::of(&[Scope::RobotControlWrite]);
    let LoginOutcome::Granted(issued) = robot.try_login_with("ada", PASSWORD, Some(asked)) else {
        panic!("refused");
    };
    assert_eq!(issued.scopes, asked);
}

// Refused logins.

#[test]
fn few_wrong_passwords_are_passed_on() {
    for most in 1..=3 {
        let robot = Robot::new();
        robot.configure(|directory| directory.max_wrong_passwords = most);
        // The directory ignores case.
        for name in ["ada", "Ada", "ADA"].iter().take(most as usize) {
            let said = robot.refused(name, "wrong");
            assert_eq!(
                said,
                "A login was refused: wrong password, says the directory."
            );
        }
        for password in ["wrong", PASSWORD] {
            let LoginOutcome::MustWait { seconds } = robot.try_login("ada", password) else {
                panic!("passed on");
            };
            assert!((1700..=1800).contains(&seconds), "{seconds}");
        }
        assert_eq!(robot.asked().len(), most as usize);
        robot.create("bea", AccountType::User);
        robot.login("bea");
        robot.put(2, "carl", "Carl", Some(AccountType::User));
        robot.login("carl");
    }
}

impl Robot {
    /// Begins logins that leave before the directory has answered, and waits until it has.
    fn leave(&self, names: &[String]) {
        for name in names {
            let (request, password) = (Request::open(None, None), Password::new("wrong".into()));
            let login = self.service.log_in(request, name, password, None);
            self.wait(async {
                tokio::select! {
                    biased;
                    outcome = login => panic!("{name}: {outcome:?}"),
                    () = std::future::ready(()) => {}
                }
            });
        }
        let is_asked = |name: &String| self.known().asked.contains(&format!("verify {name}"));
        self.until("a question", || names.iter().all(is_asked));
    }
}

#[test]
fn passwords_that_may_have_been_passed_on_are_not_forgotten_for_made_up_names() {
    let robot = Robot::new();
    for (number, name) in [(2, "bea"), (3, "carl"), (4, "dora")] {
        robot.put(number, name, name, Some(AccountType::User));
    }
    robot.leave(&["ada".into(), "ada".into(), "ada".into()]);
    for (name, answer) in [
        ("bea", framed(&Answer::Unanswered("frozen".into()))),
        ("carl", Vec::new()),
    ] {
        robot.known().garbage = Some(answer);
        for _ in 0..3 {
            robot.refused(name, "wrong");
        }
    }
    robot.known().garbage = None;
    assert_eq!(robot.asked().len(), 9);
    for hundred in 0..11 {
        let made_up = |number| format!("madeup{hundred}x{number}");
        robot.leave(&(0..100).map(made_up).collect::<Vec<_>>());
    }
    robot.asked();
    robot.calm(tokio::task::JoinSet::new());
    for name in ["ada", "bea", "carl"] {
        let LoginOutcome::MustWait { seconds } = robot.try_login(name, PASSWORD) else {
            panic!("{name}: passed on");
        };
        assert!(seconds > 1, "{name}: the answer was not counted");
    }
    assert!(robot.asked().is_empty());
    robot.login("dora");
}

#[test]
fn questions_beyond_what_the_process_answers_are_not_asked() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("directory.sock");
    // Connections are made, and nobody answers.
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = Client::new(socket);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..=MAX_REQUESTS {
            let client = client.clone();
            asking.spawn(async move { client.ask(&directory(), Operation::Test).await });
        }
        let first = asking.join_next().await.unwrap().unwrap();
        assert!(matches!(first, Answer::Unavailable(_)), "{first:?}");
        let next = asking.join_next().await.unwrap().unwrap();
        assert!(matches!(next, Answer::Unanswered(_)), "{next:?}");
    });
}

#[test]
fn right_password_clears_the_count() {
    let robot = Robot::new();
    for _ in 0..3 {
        robot.refused("ada", "wrong");
        robot.refused("ada", "wrong");
        robot.login("ada");
    }
}

#[test]
fn all_refusals_look_alike() {
    let robot = Robot::new();
    robot.configure(|directory| directory.max_wrong_passwords = 1);
    robot.login("ada");
    robot.put(2, "twin", "T", Some(AccountType::User));
    robot.put(3, "twin", "T", Some(AccountType::User));
    for (number, barred) in (10..).zip(Barred::ALL) {
        robot.put(
            number,
            &format!("barred{number}"),
            "B",
            Some(AccountType::User),
        );
        robot.bar(number, Some(barred));
    }
    let mut rows = vec![
        ("ada".to_owned(), "wrong password, says the directory"),
        (
            "nobody".into(),
            "there is no such user, here or in the directory",
        ),
        (
            "twin".into(),
            "several people in the directory have the username, or the person has several usernames",
        ),
    ];
    for (number, barred) in (10..).zip(Barred::ALL) {
        rows.push((format!("barred{number}"), barred.in_words()));
    }
    for (name, reason) in rows {
        let said = robot.refused(&name, "wrong");
        assert!(said.contains(reason), "{said}");
        let outcome = robot.try_login(&name, "wrong");
        assert!(matches!(outcome, LoginOutcome::MustWait { .. }), "{name}");
    }
}

#[test]
fn user_locked_here_is_not_asked_about() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    let lock = UserPatch {
        locked: Some(true),
        ..UserPatch::default()
    };
    assert_eq!(robot.update("ada", lock), None);
    assert!(!robot.is_active(&issued));
    robot.asked();
    for name in ["ada", "Ada"] {
        let outcome = robot.try_login(name, PASSWORD);
        assert!(matches!(
            outcome,
            LoginOutcome::Refused { locked: true, .. }
        ));
    }
    assert_eq!(robot.asked(), [""; 0]);
    // Nor does another name help.
    robot.put(1, "countess", "Ada L", Some(AccountType::User));
    let outcome = robot.try_login("countess", PASSWORD);
    assert!(matches!(
        outcome,
        LoginOutcome::Refused { locked: true, .. }
    ));
    assert!(robot.user("countess").is_none());
}

#[test]
fn busy_robot_counts_no_right_password_as_wrong() {
    let robot = Robot::new();
    robot.configure(|directory| directory.max_wrong_passwords = 1);
    // A first login compares the password with no other.
    let waiting = robot.make_busy(Account::Nobody);
    robot.login("ada");
    assert!(
        !robot.user("ada").unwrap().has_verifier(),
        "it was not busy"
    );
    robot.calm(waiting);
    let waiting = robot.make_busy(Account::User(robot.user("ada").unwrap().id));
    let password = Password::new(PASSWORD.into());
    let request = Request::open(None, None);
    let outcome = robot.wait(robot.service.log_in(request, "ada", password, None));
    assert!(matches!(outcome, Err(ServiceError::Hash(HashError::Busy))));
    robot.calm(waiting);
    robot.login("ada");
}

impl Robot {
    /// Drops what keeps the robot busy, and waits until it verifies passwords again.
    fn calm(&self, waiting: tokio::task::JoinSet<()>) {
        drop(waiting);
        let share = Share {
            source: None,
            account: Account::Nobody,
        };
        let verify = || {
            let password = Password::new(PASSWORD.into());
            let hash = PasswordHash::of_no_password();
            self.hasher.verify(share, password, hash)
        };
        self.wait(async {
            while verify().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    /// Keeps the queue of passwords to verify full with some of `account`, until what is returned is
    /// dropped.
    fn make_busy(&self, account: Account) -> tokio::task::JoinSet<()> {
        // As slow as is allowed: each runs alone, so that hardly ever a place is free.
        let slow = "$argon2id$v=19$m=262144,t=16,p=1$b3BlbnRyb25zLWF1dGgtLQ$\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let share = Share {
            source: None,
            account,
        };
        let rejected = Arc::new(tokio::sync::Semaphore::new(0));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (hasher, rejected) = (Arc::clone(&self.hasher), Arc::clone(&rejected));
            let verify = async move {
                loop {
                    let password = Password::new(PASSWORD.into());
                    let hash = PasswordHash::from_phc(slow.into());
                    if hasher.verify(share, password, hash).await.is_err() {
                        rejected.add_permits(1);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            };
            waiting.spawn_on(verify, self.runtime.handle());
        }
        // Some are rejected again and again: there is no place left.
        drop(self.wait(rejected.acquire_many(40)));
        waiting
    }
}

// While the directory is away.

#[test]
fn password_that_was_confirmed_last_is_taken_while_the_directory_is_away() {
    let robot = Robot::new();
    robot.login("ada");
    robot.away(true);
    // Also in another case, as the directory has it.
    for name in ["ada", "ADA"] {
        robot.login(name);
        let said = robot.events().pop().unwrap();
        assert!(
            said.starts_with("\"ada\" (\"Ada L\") logged in without the lab's directory"),
            "{said}"
        );
    }
    for _ in 0..3 {
        let said = robot.refused("ada", "wrong");
        assert!(
            said.contains("not the password that it confirmed last"),
            "{said}"
        );
    }
    // Passwords are not tried out without end here, either.
    let outcome = robot.try_login("ada", PASSWORD);
    assert!(matches!(outcome, LoginOutcome::MustWait { .. }));
    let said = robot.refused("bea", PASSWORD);
    assert!(said.contains("it has confirmed no password here"), "{said}");
}

#[test]
fn made_up_names_keep_nobody_out_while_the_directory_is_away() {
    let robot = Robot::new();
    robot.put(2, "bea", "Bea", Some(AccountType::User));
    robot.login("ada");
    robot.away(true);
    let service = &robot.service;
    robot.runtime.block_on(async {
        for number in 0..1100 {
            let (request, name) = (Request::open(None, None), format!("madeup{number}"));
            let password = Password::new("wrong".into());
            let outcome = service.log_in(request, &name, password, None).await;
            assert!(
                matches!(outcome, Ok(LoginOutcome::Refused { .. })),
                "{name}"
            );
        }
    });
    robot.login("ada");
    robot.away(false);
    robot.login("bea");
}

#[test]
fn confirmed_password_is_taken_for_so_many_days() {
    let robot = Robot::new();
    robot.login("ada");
    robot.away(true);
    robot.age("ada", 7 * DAY - MINUTE);
    robot.login("ada");
    // A login without the directory confirms nothing.
    robot.age("ada", 2 * MINUTE);
    let said = robot.refused("ada", PASSWORD);
    assert!(
        said.contains("confirmed no password in the last 7 days"),
        "{said}"
    );
    robot.away(false);
    robot.login("ada");
    robot.away(true);
    robot.login("ada");
}

#[test]
fn new_password_replaces_the_one_that_was_confirmed() {
    let robot = Robot::new();
    robot.login("ada");
    let first = robot.user("ada").unwrap().password;
    robot.login("ada");
    assert_eq!(robot.user("ada").unwrap().password, first, "hashed once");
    robot.known().entries[0].password = "another horse".into();
    let outcome = robot.try_login("ada", "another horse");
    assert!(matches!(outcome, LoginOutcome::Granted(_)));
    robot.away(true);
    robot.refused("ada", PASSWORD);
    let outcome = robot.try_login("ada", "another horse");
    assert!(matches!(outcome, LoginOutcome::Granted(_)));
}

#[test]
fn password_that_the_directory_refuses_is_not_taken_any_more() {
    let robot = Robot::new();
    robot.login("ada");
    robot.known().entries[0].password = "another horse".into();
    robot.refused("ada", "wrong");
    assert!(robot.user("ada").unwrap().has_verifier());
    robot.refused("ada", PASSWORD);
    assert!(!robot.user("ada").unwrap().has_verifier());
    robot.away(true);
    let said = robot.refused("ada", PASSWORD);
    assert!(said.contains("it has confirmed no password here"), "{said}");
}

#[test]
fn lock_of_the_robot_says_nothing_about_the_password() {
    let robot = Robot::new();
    robot.login("ada");
    robot.change("ada", |user| user.locked_by_admin = true);
    let outcome = robot.try_login("ada", PASSWORD);
    assert!(matches!(
        outcome,
        LoginOutcome::Refused { locked: true, .. }
    ));
    robot.change("ada", |user| user.locked_by_admin = false);
    robot.away(true);
    robot.login("ada");
}

#[test]
fn no_password_is_kept_for_no_days() {
    let robot = Robot::new();
    robot.login("ada");
    robot.configure(|directory| directory.offline_days = 0);
    robot.away(true);
    robot.refused("ada", PASSWORD);
    robot.away(false);
    robot.login("ada");
    let user = robot.user("ada").unwrap();
    assert!(!user.has_verifier());
    robot.configure(|_| {});
    robot.away(true);
    robot.refused("ada", PASSWORD);
}

#[test]
fn answers_that_do_not_fit_are_none() {
    let robot = Robot::new();
    robot.login("ada");
    let ada = robot.known().entries[0].person.clone();
    let other = Person { id: id(9), ..ada };
    let garbage = [
        vec![],
        vec![0, 0],
        b"\0\0\0\x02{".to_vec(),
        b"\0\0\0\x02{}".to_vec(),
        b"\xff\xff\xff\xff".to_vec(),
        [&b"\0\x01\0\x01"[..], &[b' '; 65_537]].concat(),
        framed(&Answer::Tested(Vec::new())),
        framed(&Answer::Unavailable("all down".into())),
        framed(&Answer::Unanswered("frozen".into())),
        framed(&Answer::Misconfigured("wrong base".into())),
    ];
    for bytes in garbage {
        robot.known().garbage = Some(bytes);
        robot.login("ada");
        let said = robot.events().pop().unwrap();
        assert!(said.contains("without the lab's directory"), "{said}");
        assert!(!robot.look_up("ada"));
    }
    for answer in [
        Answer::Found(other),
        Answer::WrongPassword,
        Answer::SeveralFound,
    ] {
        robot.known().garbage = Some(framed(&answer));
        assert!(!robot.look_up("ada"), "{answer:?}");
    }
    assert_eq!(robot.user("ada").unwrap().directory.unwrap().id, id(1));
    let without = Client::new(robot.folder.path().join("nothing"));
    let answer = robot.wait(without.ask(&directory(), Operation::Test));
    assert!(matches!(answer, Answer::Unavailable(_)), "{answer:?}");
}

#[test]
fn backup_brings_no_confirmed_password_back() {
    let robot = Robot::new();
    robot.login("ada");
    let target = robot.folder.path().join("backup");
    backup(robot.folder.path(), &target).unwrap();
    robot.forget(1);
    assert!(robot.look_up("ada"));
    let caller = Caller::anonymous(Origin::Console, None);
    robot
        .wait(robot.service.store().restore(target, caller))
        .unwrap();
    let user = robot.user("ada").unwrap();
    assert_eq!(user.directory.as_ref().unwrap().id, id(1));
    assert!(!user.has_verifier());
    robot.away(true);
    robot.refused("ada", PASSWORD);
    robot.login("root");
}

// Looking up again.

#[test]
fn refresh_looks_up_again_what_is_fifteen_minutes_old() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    robot.asked();
    robot.age("ada", 15 * MINUTE - 20_000);
    assert!(matches!(
        robot.refresh(&issued),
        RefreshOutcome::Granted { .. }
    ));
    robot.age("ada", 20_000);
    robot.put(1, "ada", "Ada L", Some(Admin));
    assert!(matches!(
        robot.refresh(&issued),
        RefreshOutcome::Granted { .. }
    ));
    let looked_up = format!("look up {}", id(1).as_text());
    robot.until("the change of type", || {
        robot.user("ada").unwrap().account_type == Admin
    });
    assert_eq!(robot.asked(), [looked_up]);
    assert!(!robot.is_active(&issued));
}

#[test]
fn refresh_of_a_local_user_asks_nobody() {
    let robot = Robot::new();
    let issued = robot.login("root");
    assert!(matches!(
        robot.refresh(&issued),
        RefreshOutcome::Granted { .. }
    ));
    robot.login("ada");
    assert_eq!(robot.asked(), ["verify ada"]);
}

#[test]
fn whoever_may_not_use_the_robot_any_more_is_out() {
    type Act = fn(&Robot);
    let rows: [(Act, Option<&str>); 9] = [
        (
            |robot| robot.forget(1),
            Some("is not in the directory any more"),
        ),
        (
            |robot| robot.put(1, "ada", "Ada L", None),
            Some("is in no group that may use the robot"),
        ),
        (
            |robot| robot.put(1, "root", "Ada L", Some(Admin)),
            Some("has the username of another account of the robot"),
        ),
        (
            |robot| robot.bar(1, Some(Barred::Disabled)),
            Some("has an account that is disabled in the directory"),
        ),
        (
            |robot| robot.bar(1, Some(Barred::AccountExpired)),
            Some("has an account that has expired in the directory"),
        ),
        (|robot| robot.bar(1, Some(Barred::Locked)), None),
        (|robot| robot.bar(1, Some(Barred::PasswordExpired)), None),
        (|robot| robot.bar(1, Some(Barred::NotHereOrNow)), None),
        (|_| {}, None),
    ];
    for (act, reason) in rows {
        let robot = Robot::new();
        let issued = robot.login("ada");
        let before = robot.events().len();
        robot.age("ada", MINUTE);
        act(&robot);
        assert!(robot.look_up("ada"));
        let user = robot.user("ada").unwrap();
        assert_eq!(robot.is_active(&issued), reason.is_none(), "{reason:?}");
        assert_eq!(user.has_verifier(), reason.is_none(), "{reason:?}");
        let now = robot.service.store().read(|_, now| now);
        let looked_up = user.directory.unwrap().looked_up;
        assert!(now.since(looked_up) < PATIENCE, "{reason:?}");
        let said = reason.map(|reason| {
            format!("Ended all sessions of \"ada\" (\"Ada L\"): 1, because the person {reason}.")
        });
        assert_eq!(robot.events()[before..], Vec::from_iter(said.clone()));
        // It is said once.
        assert!(robot.look_up("ada"));
        assert_eq!(robot.events()[before..], Vec::from_iter(said));
        if reason.is_some() {
            robot.away(true);
            robot.refused("ada", PASSWORD);
        }
    }
}

#[test]
fn sessions_go_on_while_the_directory_is_away() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    let before = robot.user("ada");
    robot.away(true);
    assert!(!robot.look_up("ada"));
    assert!(robot.is_active(&issued));
    assert_eq!(robot.user("ada"), before);
}

#[test]
fn refused_login_of_somebody_who_is_out_ends_their_sessions() {
    for act in [
        (|robot| robot.forget(1)) as fn(&Robot),
        |robot| robot.bar(1, Some(Barred::Disabled)),
        |robot| robot.put(1, "ada", "Ada L", None),
    ] {
        let robot = Robot::new();
        let issued = robot.login("ada");
        act(&robot);
        robot.refused_somehow("ada");
        robot.until("the end of the session", || !robot.is_active(&issued));
        assert!(!robot.user("ada").unwrap().has_verifier());
    }
}

impl Robot {
    /// Fails a login with the right password.
    fn refused_somehow(&self, name: &str) {
        let outcome = self.try_login(name, PASSWORD);
        assert!(matches!(
            outcome,
            LoginOutcome::Refused { locked: false, .. }
        ));
    }
}

#[test]
fn wrong_name_ends_nobodys_sessions() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    robot.put(1, "countess", "Ada L", Some(AccountType::User));
    let said = robot.refused("ada", PASSWORD);
    assert!(said.contains("there is no such user"), "{said}");
    robot.until("the rename", || robot.user("countess").is_some());
    assert!(!robot.is_active(&issued), "as for any new username");
    robot.login("countess");
    assert!(robot.user("countess").unwrap().has_verifier());
}

#[test]
fn users_with_sessions_are_looked_up_from_time_to_time() {
    let robot = Robot::new();
    robot.put(2, "bea", "Bea", Some(AccountType::User));
    robot.put(3, "carl", "Carl", Some(AccountType::User));
    let issued = robot.login("ada");
    for name in ["bea", "carl"] {
        robot.login(name);
    }
    // Who has neither a session nor a password to log in with is not looked up.
    robot.log_out("carl");
    robot.change("carl", |user| *user = user.without_verifier());
    for (name, minutes) in [("ada", 14), ("bea", 12), ("carl", 14)] {
        robot.age(name, minutes * MINUTE);
    }
    robot.bar(1, Some(Barred::Disabled));
    robot.asked();
    // Also when it is begun several times.
    for _ in 0..3 {
        robot.wait(async { robot.service.look_up_always() });
    }
    robot.until("the end of the session", || !robot.is_active(&issued));
    assert_eq!(robot.asked(), [format!("look up {}", id(1).as_text())]);
    // It ends with the directory, and begins anew.
    robot.apply(vec![Change::PutDirectory(None)]);
    robot.wait(async { robot.service.look_up_always() });
}

#[test]
fn failed_look_up_of_somebody_does_not_keep_it_from_others() {
    let robot = Robot::new();
    robot.login("ada");
    robot.put(2, "bea", "Bea", Some(AccountType::User));
    let issued = robot.login("bea");
    for name in ["ada", "bea"] {
        robot.age(name, 14 * MINUTE);
    }
    robot.bar(2, Some(Barred::Disabled));
    robot.known().failing = Some(id(1));
    robot.wait(async { robot.service.look_up_always() });
    robot.until("the end of the session", || !robot.is_active(&issued));
    assert!(robot.user("ada").unwrap().has_verifier());
}

#[test]
fn confirmed_password_is_forgotten_when_nobody_may_log_in_with_it() {
    let robot = Robot::new();
    for (number, name) in [(2, "bea"), (3, "carl"), (4, "dora")] {
        robot.put(number, name, "P", Some(AccountType::User));
        robot.login(name);
        robot.log_out(name);
    }
    // One was disabled after logging out, the password of another is too old.
    robot.bar(2, Some(Barred::Disabled));
    robot.age("bea", 14 * MINUTE);
    robot.age("carl", 5 * DAY);
    robot.change("carl", |user| {
        user.directory.as_mut().unwrap().looked_up.0 += 5 * DAY;
    });
    robot.configure(|directory| directory.offline_days = 4);
    robot.wait(async { robot.service.look_up_always() });
    let has = |name: &str| robot.user(name).unwrap().has_verifier();
    robot.until("the end of two passwords", || !has("bea") && !has("carl"));
    assert!(has("dora"));
    robot.away(true);
    robot.refused("bea", PASSWORD);
    robot.refused("carl", PASSWORD);
    robot.login("dora");
}

// Another configuration.

#[test]
fn confirmed_passwords_are_those_of_the_same_people_and_directory() {
    type Act = fn(&mut Directory);
    let rows: [(Act, bool); 8] = [
        (
            |directory| directory.groups.users = vec!["cn=few".into()],
            false,
        ),
        (
            |directory| directory.groups.admins = vec!["cn=few".into()],
            false,
        ),
        (
            |directory| directory.names = Names::Filter("(cn={name})".into()),
            false,
        ),
        (|directory| directory.ca = OTHER_CA.into(), false),
        (|directory| directory.base = "dc=example".into(), false),
        (
            |directory| directory.servers = vec!["ldaps://other".into()],
            false,
        ),
        (
            |directory| directory.servers.push("ldaps://other".into()),
            true,
        ),
        (|directory| directory.offline_days = 3, true),
    ];
    let robot = Robot::new();
    for (number, (act, is_kept)) in rows.into_iter().enumerate() {
        robot.configure(|_| {});
        robot.login("ada");
        let mut other = directory();
        act(&mut other);
        let other = Arc::new(other);
        let put = robot.service.store().write(move |state, _| {
            let caller = Caller::anonymous(Origin::Console, None);
            Ok::<_, Infallible>(rules::put(state, &caller, other, true))
        });
        robot.wait(put).unwrap().unwrap();
        let has_verifier = robot.user("ada").unwrap().has_verifier();
        assert_eq!(has_verifier, is_kept, "{number}");
    }
}

#[test]
fn bind_password_that_was_replaced_meanwhile_is_the_one_that_is_kept() {
    let robot = Robot::new();
    let mut groups = directory();
    groups.groups.admins = vec!["cn=admins".into()];
    let service = robot.service.clone();
    // Without a bind password.
    let draft = Draft::from(&groups);
    // The stand-in answers as soon as it is let go.
    let known = robot.known();
    let putting = async move { service.put_directory(console(), draft, true).await };
    let putting = robot.runtime.spawn(putting);
    robot.wait(tokio::task::yield_now());
    robot.configure(|directory| directory.bind_password = Password::new("new secret".into()));
    drop(known);
    let (put, _) = robot.wait(putting).unwrap().unwrap();
    assert_eq!(put.bind_password.expose(), "new secret");
    let stored = robot.state(|state| state.directory().cloned()).unwrap();
    assert_eq!(stored.bind_password.expose(), "new secret");
    assert_eq!(stored.groups, groups.groups);
    assert_eq!(robot.asked(), ["test", "test"]);
}

#[test]
fn failed_test_of_a_new_configuration_is_audited() {
    let robot = Robot::new();
    robot.known().garbage = Some(framed(&Answer::Misconfigured("wrong base".into())));
    let mut other = directory();
    other.base = "dc=other".into();
    let put = robot
        .service
        .put_directory(console(), Draft::from(&other), true);
    let expected = RuleError::DirectoryTestFailed("wrong base".into());
    assert_eq!(broken(robot.wait(put)), Some(expected));
    assert_eq!(
        robot.events().pop().unwrap(),
        "Tested the directory at ldaps://ldap.lab.example: it failed: wrong base"
    );
    let stored = robot.state(|state| state.directory().cloned()).unwrap();
    assert_eq!(stored.base, directory().base);
}

// Rules for users of the directory.

#[test]
fn names_type_and_password_are_the_directorys() {
    let robot = Robot::new();
    let issued = robot.login("ada");
    let none = UserPatch::default();
    let name = |name: &str| Some(name.to_owned());
    for (patch, expected) in [
        (
            UserPatch {
                username: name("eve"),
                ..none.clone()
            },
            Some(RuleError::ManagedByDirectory),
        ),
        (
            UserPatch {
                full_name: name("Eve"),
                ..none.clone()
            },
            Some(RuleError::ManagedByDirectory),
        ),
        (
            UserPatch {
                account_type: Some(Admin),
                ..none.clone()
            },
            Some(RuleError::ManagedByDirectory),
        ),
        (
            UserPatch {
                reset_password: true,
                ..none.clone()
            },
            Some(RuleError::PasswordManagedByDirectory),
        ),
        (
            UserPatch {
                username: name("ada"),
                full_name: name("Ada L"),
                account_type: Some(AccountType::User),
                ..none.clone()
            },
            None,
        ),
    ] {
        assert_eq!(robot.update("ada", patch.clone()), expected, "{patch:?}");
    }
    let service = &robot.service;
    let new = || Password::new("another-one".into());
    let own = Request {
        credential: auth_server::domain::authority::Credential::Token(TokenDigest::of(
            issued.access.expose(),
        )),
        need: auth_server::domain::authority::Need::OwnScope(Scope::UsersWriteSelf),
        ..Request::open(None, None)
    };
    let expected = Some(RuleError::PasswordManagedByDirectory);
    let set = service.update_user(console(), "ada".into(), none.clone(), Some(new()));
    assert_eq!(broken(robot.wait(set)), expected);
    let reset = service.reset_password(console(), "ada".into());
    assert_eq!(broken(robot.wait(reset)), expected);
    let set = service.update_self(own.clone(), none.clone(), Some(new()));
    assert_eq!(broken(robot.wait(set)), expected);
    let tried = service.try_password(own.clone(), new());
    assert_eq!(broken(robot.wait(tried)), expected);
    let patch = UserPatch {
        full_name: name("Eve"),
        ..none
    };
    let renamed = service.update_self(own, patch, None);
    assert_eq!(
        broken(robot.wait(renamed)),
        Some(RuleError::ManagedByDirectory)
    );
    assert!(robot.is_active(&issued));
}

#[test]
fn password_policy_does_not_concern_users_of_the_directory() {
    let robot = Robot::new();
    robot.login("ada");
    robot.set(
        "passwordResetTime",
        Value::Duration(Duration::from_secs(86_400)),
    );
    robot.set("passwordComplexityMinimumLength", Value::Integer(40));
    let reason = |name: &str| robot.service.user(&console(), name).unwrap().reset_reason;
    assert_eq!(reason("root"), ResetPasswordReason::AdminForced);
    for name in ["root", "ada"] {
        robot.change(name, |user| user.password_set_at.0 -= 2 * DAY);
    }
    assert_eq!(reason("ada"), ResetPasswordReason::None);
    let issued = robot.login("ada");
    assert!(issued.scopes.contains(Scope::RobotControlWrite));
}

#[test]
fn last_administrator_is_a_local_one() {
    let robot = Robot::new();
    robot.put(1, "ada", "Ada L", Some(Admin));
    robot.login("ada");
    robot.apply(vec![Change::SetAccessControl(true)]);
    let deleted = robot.service.delete_user(console(), "root".into());
    assert_eq!(broken(robot.wait(deleted)), Some(RuleError::LastAdmin));
    let lock = UserPatch {
        locked: Some(true),
        ..UserPatch::default()
    };
    assert_eq!(
        robot.update("root", lock.clone()),
        Some(RuleError::LastAdmin)
    );
    // Wrong passwords slow the last local one down instead of locking them.
    for _ in 0..5 {
        robot.refused("root", "wrong");
    }
    assert!(!robot.service.user(&console(), "root").unwrap().locked);
    assert_eq!(robot.update("ada", lock), None);
    let deleted = robot.service.delete_user(console(), "ada".into());
    assert_eq!(broken(robot.wait(deleted)), None);
    // Nor can access control be turned on with administrators of the directory alone.
    robot.apply(vec![Change::SetAccessControl(false)]);
    let deleted = robot.service.delete_user(console(), "root".into());
    assert_eq!(broken(robot.wait(deleted)), None);
    robot.put(2, "bea", "Bea", Some(Admin));
    robot.login("bea");
    let enabled = robot.service.enable_access_control(console());
    assert_eq!(broken(robot.wait(enabled)), Some(RuleError::LastAdmin));
}

#[test]
fn view_says_where_a_user_comes_from() {
    let robot = Robot::new();
    robot.login("ada");
    let of_directory = |name: &str| {
        let profile = robot.service.user(&console(), name).unwrap();
        profile.is_of_directory
    };
    assert!(of_directory("ada") && !of_directory("root"));
}

// What changes meanwhile.

/// Decides on a login through the directory.
mod meanwhile {
    use auth_server::domain::decision::Context;
    use auth_server::domain::directory::Verdict;
    use auth_server::domain::random::Random;
    use auth_server::domain::sessions::by_directory::{
        due, log_in, log_in_locked, look_up, DirectoryAttempt, Turns,
    };
    use auth_server::domain::users::source::OfDirectory;
    use auth_server::domain::users::UserId;

    use super::*;

    const NOW: Moment = Moment(100 * DAY);

    struct Zero;

    impl Random for Zero {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn person(username: &str) -> Person {
        Person {
            id: id(1),
            username: username.into(),
            full_name: Some("Ada L".into()),
            account_type: Some(AccountType::User),
        }
    }

    fn user() -> User {
        User {
            id: UserId(1),
            username: "ada".into(),
            full_name: "Ada L".into(),
            account_type: AccountType::User,
            password: PasswordHash::from_phc("verifier".into()),
            password_set_at: NOW,
            temporary_password: false,
            stored_reason: ResetPasswordReason::None,
            locked_by_admin: false,
            failed_logins: 0,
            last_failed_login: None,
            directory: Some(OfDirectory {
                id: id(1),
                looked_up: NOW,
                confirmed: Some(NOW),
            }),
        }
    }

    /// Returns a state with `ada`, and an attempt that fits it.
    fn begun(verdict: Verdict) -> (State, DirectoryAttempt) {
        let directory = Arc::new(directory());
        let mut state = State::default();
        state.apply(Change::PutDirectory(Some(Arc::clone(&directory))));
        state.apply(Change::PutUser(user()));
        let attempt = DirectoryAttempt {
            directory,
            known: Some(UserId(1)),
            checked: user().password,
            right: true,
            verdict,
            verifier: Some(PasswordHash::from_phc("new verifier".into())),
        };
        (state, attempt)
    }

    fn decide(state: &State, attempt: &DirectoryAttempt) -> Decision<LoginOutcome> {
        let mut context = Context {
            now: NOW,
            random: &mut Zero,
        };
        let caller = Caller::anonymous(Origin::Http, None);
        log_in(state, &mut context, &caller, attempt, None)
    }

    #[test]
    fn nothing_is_decided_by_a_configuration_that_was_replaced() {
        for verdict in [
            Verdict::Found(person("ada")),
            Verdict::Away("all down".into()),
        ] {
            let (mut state, attempt) = begun(verdict.clone());
            let decided = decide(&state, &attempt).reply;
            assert!(matches!(decided, LoginOutcome::Granted(_)), "{verdict:?}");
            for directory in [None, Some(Arc::new(directory()))] {
                state.apply(Change::PutDirectory(directory));
                let decision = decide(&state, &attempt);
                assert!(matches!(
                    decision.reply,
                    LoginOutcome::MustWait { seconds: 1 }
                ));
                assert!(decision.changes.is_empty());
                assert_eq!(decision.events.len(), 1);
            }
        }
    }

    #[test]
    fn user_who_was_deleted_or_locked_meanwhile_is_out() {
        for verdict in [
            Verdict::Found(person("ada")),
            Verdict::Away("all down".into()),
        ] {
            let (mut state, attempt) = begun(verdict.clone());
            state.apply(Change::PutUser(User {
                locked_by_admin: true,
                ..user()
            }));
            let decision = decide(&state, &attempt);
            assert!(matches!(
                decision.reply,
                LoginOutcome::Refused { locked: true, .. }
            ));
            assert!(decision.changes.is_empty());
            state.apply(Change::DeleteUser(UserId(1)));
            let decision = decide(&state, &attempt);
            assert!(matches!(decision.reply, LoginOutcome::MustWait { .. }));
            assert!(decision.changes.is_empty());
        }
    }

    #[test]
    fn user_who_was_unlocked_meanwhile_tries_again() {
        let (mut state, _) = begun(Verdict::WrongPassword);
        let caller = Caller::anonymous(Origin::Http, None);
        let decision = log_in_locked(&state, &caller, UserId(1));
        assert!(matches!(decision.reply, LoginOutcome::MustWait { .. }));
        assert!(decision.changes.is_empty());
        state.apply(Change::DeleteUser(UserId(1)));
        let decision = log_in_locked(&state, &caller, UserId(1));
        assert!(matches!(decision.reply, LoginOutcome::MustWait { .. }));
    }

    #[test]
    fn refusal_of_an_older_password_concerns_no_newer_one() {
        let (mut state, attempt) = begun(Verdict::WrongPassword);
        assert_eq!(decide(&state, &attempt).changes.len(), 1);
        state.apply(Change::PutUser(User {
            password: PasswordHash::from_phc("another".into()),
            ..user()
        }));
        assert!(decide(&state, &attempt).changes.is_empty());
    }

    #[test]
    fn verifier_that_was_replaced_meanwhile_confirms_nothing() {
        let (mut state, attempt) = begun(Verdict::Away("all down".into()));
        state.apply(Change::PutUser(user().without_verifier()));
        let decision = decide(&state, &attempt);
        assert!(matches!(decision.reply, LoginOutcome::Refused { .. }));
        state.apply(Change::PutUser(User {
            password: PasswordHash::from_phc("another".into()),
            ..user()
        }));
        let decision = decide(&state, &attempt);
        assert!(matches!(decision.reply, LoginOutcome::Refused { .. }));
    }

    #[test]
    fn look_up_by_a_configuration_that_was_replaced_changes_nothing() {
        let (mut state, attempt) = begun(Verdict::Nobody);
        let caller = Caller::anonymous(Origin::Server, None);
        let act = |state: &State, verdict: &Verdict| {
            look_up(state, NOW, &caller, &attempt.directory, UserId(1), verdict)
        };
        assert_eq!(act(&state, &attempt.verdict).changes.len(), 2);
        let other = Person {
            id: id(2),
            ..person("ada")
        };
        assert!(act(&state, &Verdict::Found(other)).changes.is_empty());
        state.apply(Change::PutDirectory(Some(Arc::new(directory()))));
        assert!(act(&state, &attempt.verdict).changes.is_empty());
        let (mut state, attempt) = begun(Verdict::Nobody);
        state.apply(Change::PutUser(User {
            directory: None,
            ..user()
        }));
        let directory = &attempt.directory;
        let decision = look_up(&state, NOW, &caller, directory, UserId(1), &attempt.verdict);
        assert!(decision.changes.is_empty());
    }

    #[test]
    fn users_take_turns_and_failures_in_a_row_end_the_round() {
        let mut turns = Turns::default();
        let due = BTreeSet::from([1, 2, 3, 4].map(UserId));
        let order = |turns: &Turns| -> Vec<i64> {
            let users = turns.order(due.clone());
            users.map(|user| user.0).collect()
        };
        assert_eq!(order(&turns), [1, 2, 3, 4]);
        for (user, is_answered, gives_up) in [
            (1, false, false),
            (2, true, false),
            (3, false, false),
            (4, false, true),
            // Also when they fail in different rounds.
            (1, false, false),
            (2, false, true),
        ] {
            assert_eq!(turns.gives_up_after(UserId(user), is_answered), gives_up);
        }
        assert_eq!(order(&turns), [3, 4, 1, 2]);
        turns.gives_up_after(UserId(9), true);
        assert_eq!(order(&turns), [1, 2, 3, 4]);
    }

    #[test]
    fn those_with_sessions_and_an_old_look_up_are_due() {
        let (mut state, attempt) = begun(Verdict::Found(person("ada")));
        let age = Duration::from_secs(60);
        let later = |seconds: i64| Moment(NOW.0 + seconds * 1000);
        state.apply(Change::PutUser(user().without_verifier()));
        assert_eq!(due(&state, age, later(60)), BTreeSet::new());
        for change in decide(&state, &attempt).changes {
            state.apply(change);
        }
        // So is somebody who may log in without the directory.
        let later_due = |state: &State, seconds| due(state, age, later(seconds));
        assert_eq!(later_due(&state, 181), BTreeSet::from([UserId(1)]));
        state.apply(Change::PutUser(user().without_verifier()));
        assert_eq!(later_due(&state, 59), BTreeSet::new());
        assert_eq!(later_due(&state, 60), BTreeSet::from([UserId(1)]));
        // The session has expired.
        assert_eq!(later_due(&state, 181), BTreeSet::new());
    }
}
