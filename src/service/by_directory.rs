//! People of the lab's directory: logging in through it, and looking them up again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::hashing::{Account, HashError, Hasher, Share};
use super::{Done, Service};
use crate::directory::client::Client;
use crate::directory::protocol::{Answer, Operation};
use crate::domain::audit::Origin;
use crate::domain::authority::{Caller, Request};
use crate::domain::decision::Context;
use crate::domain::directory::{Directory, DirectoryId, Verdict};
use crate::domain::passed_on::{Passed, PassedOn};
use crate::domain::passwords::{Password, PasswordHash};
use crate::domain::scopes::Scopes;
use crate::domain::sessions::by_directory::{self, DirectoryAttempt, Turns};
use crate::domain::sessions::LoginOutcome;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::users::{fold, UserId};
use crate::logging;

/// Interval between checks whether a user is to be looked up again.
const TICK: Duration = Duration::from_secs(5);
/// Interval instead of [`TICK`] after look-ups in a row that failed. With a bind password that is not
/// valid any more, each counts as a wrong one of the bind account, which the directory may lock.
const PAUSE: Duration = Duration::from_secs(60);
/// Age of the last look-up from which on a user who has a session, or may be able to log in without the
/// directory, is looked up again, even if their client does not refresh: so much less than 15 minutes
/// that several users take their turns in time.
const LOOK_UP_AT: Duration = Duration::from_secs(13 * 60);

/// What is kept in memory to ask the lab's directory.
#[derive(Default)]
pub(super) struct DirectoryAccess {
    /// Client of the process that asks it; `None` if this process asks nobody, as at the console while
    /// no service is running.
    client: Option<Client>,
    /// Wrong passwords that were passed on.
    passed_on: Mutex<PassedOn>,
    /// Users who are being looked up.
    looking: Mutex<HashSet<UserId>>,
    /// Whether [`Service::look_up_always`] is running.
    sweeping: Mutex<bool>,
    /// Whether the directory could not be asked the last time.
    is_away: AtomicBool,
}

impl DirectoryAccess {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }

    /// Asks the directory that `directory` configures.
    pub(super) async fn ask(&self, directory: &Directory, operation: Operation) -> Answer {
        match &self.client {
            Some(client) => client.ask(directory, operation).await,
            None => Answer::Unavailable("the service is not running".into()),
        }
    }

    /// Returns what an answer about a person says. Logs when the directory cannot be asked any more, and
    /// when it can again.
    fn verdict(&self, answer: Answer) -> Verdict {
        let verdict = match answer {
            Answer::Found(person) => Verdict::Found(person),
            Answer::WrongPassword => Verdict::WrongPassword,
            Answer::NobodyFound => Verdict::Nobody,
            Answer::SeveralFound => Verdict::Several,
            Answer::Barred(barred) => Verdict::Barred(barred),
            Answer::Unavailable(why) | Answer::Unanswered(why) | Answer::Misconfigured(why) => {
                Verdict::Away(why)
            }
            Answer::Tested(_) => Verdict::Away("it answered another question".into()),
        };
        let is_away = matches!(verdict, Verdict::Away(_));
        let was_away = self.is_away.swap(is_away, Ordering::Relaxed);
        match &verdict {
            Verdict::Away(why) if !was_away => {
                log::warn!("the lab's directory cannot be asked: {why}");
            }
            Verdict::Away(_) => {}
            _ if was_away => log::info!("the lab's directory can be asked again"),
            _ => {}
        }
        verdict
    }
}

/// Password that is being passed on. What becomes of it is counted when this is dropped.
struct PassingOn {
    service: Service,
    name: String,
    passed: Passed,
}

impl PassingOn {
    /// Asks the directory, and returns what it says.
    async fn ask(&mut self, directory: &Directory, operation: Operation) -> Verdict {
        let access = &self.service.directory;
        let answer = access.ask(directory, operation).await;
        self.passed = match &answer {
            Answer::Found(_) => Passed::Right,
            Answer::NobodyFound | Answer::Unavailable(_) | Answer::Misconfigured(_) => {
                Passed::Nobody
            }
            Answer::WrongPassword
            | Answer::SeveralFound
            | Answer::Barred(_)
            | Answer::Unanswered(_)
            | Answer::Tested(_) => Passed::Wrong,
        };
        access.verdict(answer)
    }
}

impl Drop for PassingOn {
    fn drop(&mut self) {
        let now = self.service.store.read(|_, now| now);
        lock(&self.service.directory.passed_on).end(&self.name, self.passed, now);
    }
}

/// User who is being looked up.
struct LookingUp<'a>(&'a Service, UserId);

impl Drop for LookingUp<'_> {
    fn drop(&mut self) {
        lock(&self.0.directory.looking).remove(&self.1);
    }
}

/// Login that the directory is to be asked about.
pub(super) struct Question {
    directory: Arc<Directory>,
    /// User of the directory who has the username.
    known: Option<Known>,
    /// Hash to compare the password with: that of the user, or one that takes as long.
    checked: PasswordHash,
    now: Moment,
}

/// User of the directory who has the username of a login.
struct Known {
    user: UserId,
    id: DirectoryId,
    is_locked: bool,
}

impl Service {
    /// Returns what to ask the directory about a login; `None` if the login is up to the robot alone.
    pub(super) fn question(&self, username: &str, password: &Password) -> Option<Question> {
        self.store.read(|state, now| {
            let (directory, user) = by_directory::asks(state, username, password)?;
            let like = || {
                let number = self.hasher.stand_in(username, state.user_count())?;
                state.users().nth(number)
            };
            Some(Question {
                directory: Arc::clone(directory),
                known: user.and_then(|user| {
                    Some(Known {
                        user: user.id,
                        id: user.directory.as_ref()?.id.clone(),
                        is_locked: user.locked_by_admin,
                    })
                }),
                checked: match user {
                    Some(user) => user.password.clone(),
                    None => Hasher::nobodys(like().map(|user| &user.password)),
                },
                now,
            })
        })
    }

    /// Logs somebody in who is not a local user. The password is verified here while the directory is
    /// being asked, so that a login takes at least as long as that of a local user. It takes longer while
    /// the directory is slow, or away: local usernames can then be told by the time.
    ///
    /// # Errors
    /// As [`Service::log_in`].
    pub(super) async fn log_in_by_directory(
        &self,
        request: Request,
        username: &str,
        password: Password,
        asked: Option<Scopes>,
        question: Question,
    ) -> Done<LoginOutcome> {
        let Question {
            directory,
            known,
            checked,
            now,
        } = question;
        let user = known.as_ref().map(|known| known.user);
        let share = Share {
            source: request.source,
            account: user.map_or(Account::Nobody, Account::User),
        };
        let verify = self.hasher.verify(share, password.clone(), checked.clone());
        if let Some(known) = known.as_ref().filter(|known| known.is_locked) {
            let user = known.user;
            verify.await?;
            return self
                .write(request, move |state, _, caller| {
                    Ok(by_directory::log_in_locked(state, caller, user))
                })
                .await;
        }
        let name = fold(username);
        let begun = {
            let mut passed_on = lock(&self.directory.passed_on);
            passed_on.begin(&name, known.is_some(), directory.max_wrong_passwords, now)
        };
        if let Err(seconds) = begun {
            verify.await?;
            return self
                .write(request, move |state, _, caller| {
                    let user = user.and_then(|id| state.user(id));
                    Ok(by_directory::must_wait(caller, user, seconds))
                })
                .await;
        }
        let mut passing_on = PassingOn {
            service: self.clone(),
            name,
            passed: Passed::Wrong, // until it says something else
        };
        let operation = Operation::Verify {
            name: username.into(),
            password: password.clone(),
        };
        // In a task of its own: what the directory says is counted also if the client does not wait for it.
        let asking = tokio::spawn({
            let directory = Arc::clone(&directory);
            async move { (passing_on.ask(&directory, operation).await, passing_on) }
        });
        let (right, answered) = tokio::join!(verify, asking);
        let (verdict, mut passing_on) = match answered {
            Ok((verdict, passing_on)) => (verdict, Some(passing_on)),
            Err(error) => (Verdict::Away(error.to_string()), None), // counted as wrong
        };
        if let (Verdict::Away(_), Ok(true), Some(passing_on)) = (&verdict, &right, &mut passing_on)
        {
            passing_on.passed = Passed::Unanswered;
        }
        drop(passing_on);
        let right = match right {
            // There is no password of theirs to compare with.
            Err(HashError::Busy) if known.is_none() && matches!(verdict, Verdict::Found(_)) => {
                false
            }
            right => right?,
        };
        let verifier = match (&verdict, user) {
            (Verdict::Found(person), _) => {
                self.look_up_namesake(&person.username, &person.id).await;
                let is_same = known.as_ref().is_some_and(|known| known.id == person.id);
                if directory.offline_days == 0 {
                    None
                } else if right && is_same && Hasher::is_ours(&checked) {
                    Some(checked.clone())
                } else {
                    self.hasher.hash_unless_busy(share, password).await?
                }
            }
            (Verdict::Nobody | Verdict::Barred(_), Some(user)) => {
                // Another person may have the name by now: what follows is decided by the identity.
                self.look_up_beside(user);
                None
            }
            _ => None,
        };
        let attempt = DirectoryAttempt {
            directory,
            known: user,
            checked,
            right,
            verdict,
            verifier,
        };
        self.write(request, move |state, context, caller| {
            Ok(by_directory::log_in(
                state, context, caller, &attempt, asked,
            ))
        })
        .await
    }

    /// Looks up another user of the directory who has the username of a person: they may have been
    /// renamed there.
    async fn look_up_namesake(&self, username: &str, id: &DirectoryId) {
        let other = self.store.read(|state, _| {
            let user = state.user_ignoring_case(username)?;
            let of = user.directory.as_ref()?;
            (of.id != *id).then_some(user.id)
        });
        if let Some(user) = other {
            self.look_up(user).await;
        }
    }

    /// Starts to look up a user of the directory, without waiting for it.
    pub(super) fn look_up_beside(&self, user: UserId) {
        if self.directory.client.is_some() {
            let service = self.clone();
            tokio::spawn(async move { service.look_up(user).await });
        }
    }

    /// Looks up a user of the directory, and acts on what it says. Does nothing if the user is being
    /// looked up already. Returns whether the directory could be asked, and what it said was recorded.
    pub async fn look_up(&self, user: UserId) -> bool {
        if !lock(&self.directory.looking).insert(user) {
            return true;
        }
        let _looking_up = LookingUp(self, user);
        let found = self.store.read(|state, _| {
            let id = state.user(user)?.directory.as_ref()?.id.clone();
            Some((Arc::clone(state.directory()?), id))
        });
        let Some((directory, id)) = found else {
            return true;
        };
        let answer = self.directory.ask(&directory, Operation::LookUp { id });
        let verdict = self.directory.verdict(answer.await);
        if matches!(verdict, Verdict::Away(_)) {
            return false;
        }
        let done = self
            .store
            .write(move |state, context| {
                let caller = Caller::anonymous(Origin::Server, None);
                let now = context.now;
                Ok::<_, std::convert::Infallible>(by_directory::look_up(
                    state, now, &caller, &directory, user, &verdict,
                ))
            })
            .await;
        if let Err(error) = &done {
            log::error!("{}", logging::chain(error));
        }
        done.is_ok()
    }

    /// Starts to look up users from time to time, and to forget old passwords of theirs, if a directory
    /// is configured and that is not done already. It ends when no directory is configured any more.
    pub fn look_up_always(&self) {
        if self.directory.client.is_none() {
            return;
        }
        let mut sweeping = lock(&self.directory.sweeping);
        let is_configured = self.store.read(|state, _| state.directory().is_some());
        if is_configured && !*sweeping {
            *sweeping = true;
            let service = self.clone();
            tokio::spawn(async move { service.sweep().await });
        }
    }

    /// Forgets the passwords of users of the directory that were confirmed too long ago.
    async fn forget_old(&self) {
        let is_any = |state: &State, now| !by_directory::forget_old(state, now).changes.is_empty();
        if !self.store.read(is_any) {
            return;
        }
        let forget = |state: &State, context: &mut Context| {
            Ok::<_, std::convert::Infallible>(by_directory::forget_old(state, context.now))
        };
        if let Err(error) = self.store.write(forget).await {
            log::error!("{}", logging::chain(&error));
        }
    }

    /// Looks up users from time to time, until no directory is configured any more.
    async fn sweep(&self) {
        let mut turns = Turns::default();
        let mut pause = TICK;
        loop {
            tokio::time::sleep(pause).await;
            pause = TICK;
            {
                let mut sweeping = lock(&self.directory.sweeping);
                if self.store.read(|state, _| state.directory().is_none()) {
                    *sweeping = false;
                    return;
                }
            }
            self.forget_old().await;
            let due = self
                .store
                .read(|state, now| by_directory::due(state, LOOK_UP_AT, now));
            for user in turns.order(due) {
                let is_answered = self.look_up(user).await;
                if turns.gives_up_after(user, is_answered) {
                    pause = PAUSE;
                    break;
                }
            }
        }
    }
}

/// Locks a value, even if another thread panicked while holding the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
