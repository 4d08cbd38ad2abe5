//! What is kept: one SQLite database, one thread that writes to it, and the state in memory that
//! every request is answered from.
//!
//! A change is decided against the state, committed with its audit events in one transaction, and
//! then taken over by the state: what a client is told is durable, and what is not durable nobody
//! sees. Reads take a lock that the writer holds for moments only, and never touch the disk.

mod audit;
mod clock;
mod database;
mod error;
mod import;
mod place;
mod restore;
mod sessions;
mod settings;
mod users;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, Notify};

pub use audit::{AuditLog, DeliveryStatus, Observer, Verified};
pub use database::{backup, copy, is_damaged, move_aside, DATABASE};
pub use error::StoreError;
pub use import::{clean_stage_directory, stage_directory, Strictness, Summary, Survey, Takeover};
pub use restore::{check_backup, Restored};

use self::place::Place;
use crate::domain::audit::{AuditRow, Event, Origin};
use crate::domain::authority::Caller;
use crate::domain::change::Change;
use crate::domain::decision::{Context, Decision};
use crate::domain::refusals::Refusals;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::os::clock::Clock;
use crate::os::random::SystemRandom;

/// Items that one transaction of housekeeping forgets: few, so that no client's write has to wait
/// for long.
const FORGET_AT_ONCE: usize = 250;
/// Pages that are given back to the file system at once.
const VACUUM_PAGES: u32 = 256;

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// What to do when the database is gone.
type WhenGone = Box<dyn Fn(&StoreError) + Send + Sync>;

/// What readers and the writer share.
struct Shared {
    path: PathBuf,
    place: Place,
    when_gone: OnceLock<WhenGone>,
    observer: Observer,
    state: RwLock<State>,
    clock: Clock,
    /// An event was added to the audit log.
    events: Notify,
    /// Events are to be sent again.
    resend: Notify,
    /// A refusal was counted.
    counted: Notify,
}

/// The database of a state directory, open. Dropping it finishes what is being written.
pub struct Store {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the database in `directory`, or makes it. `observer` is told of each event.
    ///
    /// # Errors
    /// [`StoreError`] names the file: it is damaged, of a newer version, not ours, or cannot be
    /// read or written. It is left as it was.
    pub fn open(directory: &Path, observer: Observer) -> Result<Self, StoreError> {
        let path = directory.join(DATABASE);
        let mut connection = database::open(&path)?;
        let failed = |source| StoreError::of(&path, "read", source);
        let (clock, mark) = Clock::resume(clock::load(&connection).map_err(failed)?.as_ref());
        let state = load(&connection).map_err(failed)?;
        if let Err(source) = clock::save(&mut connection, &mark) {
            // Such as a full disk: reads go on.
            let error = StoreError::of(&path, "write", source);
            log::error!("{}", crate::logging::chain(&error));
        }
        let shared = Arc::new(Shared {
            place: Place::of(&path)?,
            when_gone: OnceLock::new(),
            observer,
            path,
            state: RwLock::new(state),
            clock,
            events: Notify::new(),
            resend: Notify::new(),
            counted: Notify::new(),
        });
        let mut writer = Writer {
            connection,
            shared: Arc::clone(&shared),
            refusals: Refusals::default(),
        };
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    // A panic drops the transaction, which rolls back, and was logged.
                    let _panicked = catch_unwind(AssertUnwindSafe(|| job(&mut writer)));
                }
            })
            .map_err(|source| StoreError::Io {
                path: shared.path.clone(),
                doing: "start writing",
                source,
            })?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Opens the database in `directory`; makes it when there is none, from the state of the Python
    /// server if that lies there. No other process may work in the directory.
    ///
    /// # Errors
    /// As [`Store::open`]; or the Python server's state cannot be taken over whole, and is left as
    /// it is, and no database is made.
    pub fn open_or_take_over(directory: &Path, observer: Observer) -> Result<Self, StoreError> {
        let is_first = !directory.join(DATABASE).exists();
        if is_first {
            if let Some(takeover) = import::at_first_start(directory)? {
                let caller = Caller::anonymous(Origin::Server, None);
                takeover.make_database(directory, &caller, observer)?;
            }
        }
        let store = Self::open(directory, observer)?;
        if !is_first {
            import::warn_if_changed(directory)?;
        }
        Ok(store)
    }

    /// The clock that lifetimes are counted on.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Reads the state. `look` must be short: writes wait for it.
    pub fn read<T>(&self, look: impl FnOnce(&State, Moment) -> T) -> T {
        let now = self.shared.clock.now();
        look(&read(&self.shared), now)
    }

    /// Decides by `rule` and writes its plan down, all of it or nothing. The answer is durable.
    ///
    /// # Errors
    /// The outer one: it could not be written, and nothing has changed. The inner one is the rule's.
    pub async fn write<T, E>(
        &self,
        rule: impl FnOnce(&State, &mut Context) -> Result<Decision<T>, E> + Send + 'static,
    ) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run(move |writer| writer.write(rule)).await?
    }

    /// Writes down that something was done which changes no account.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn note(
        &self,
        caller: Caller,
        action: &'static str,
        message: String,
    ) -> Result<(), StoreError> {
        self.write(move |_, _| {
            Ok::<_, std::convert::Infallible>(Decision {
                changes: Vec::new(),
                events: vec![caller.event(action, message)],
                reply: (),
            })
        })
        .await
        .map(|done| done.unwrap_or_else(|never| match never {}))
    }

    /// Forgets what has expired, in small steps that let other writes pass between them.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn forget_expired(&self) -> Result<(), StoreError> {
        let steps = self.read(|state, now| state.expired(now, FORGET_AT_ONCE));
        for changes in steps {
            self.run(move |writer| writer.commit(changes, Vec::new()))
                .await??;
        }
        self.run(|writer| {
            let shrunk = writer.connection.execute_batch(&format!(
                "PRAGMA incremental_vacuum({VACUUM_PAGES}); PRAGMA optimize;"
            ));
            write_lock(&writer.shared).shrink();
            shrunk.map_err(|source| StoreError::of(&writer.shared.path, "tidy", source))
        })
        .await?
    }

    /// Writes the time down when the wall clock was set.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn mark_time(&self) -> Result<(), StoreError> {
        let Some(mark) = self.shared.clock.look_at_wall() else {
            return Ok(());
        };
        log::info!("the wall clock was set; sessions go on");
        self.run(move |writer| {
            clock::save(&mut writer.connection, &mark)
                .map_err(|source| StoreError::of(&writer.shared.path, "write", source))
        })
        .await?
    }

    /// Says whether events go to an audit server from now on. Those from before it was first so are
    /// not owed to it.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn set_delivering(&self, delivering: bool) -> Result<(), StoreError> {
        self.transaction(move |transaction| audit::set_delivering(transaction, delivering))
            .await
    }

    /// The first events, at most `most`, that are to be sent to the audit server.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn undelivered(&self, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.transaction(move |transaction| audit::undelivered(transaction, most))
            .await
    }

    /// Writes down that the audit server has taken these events.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn set_delivered(&self, taken: Vec<i64>) -> Result<(), StoreError> {
        self.transaction(move |transaction| {
            let mut each = taken.into_iter();
            each.try_for_each(|seq| audit::set_delivered(transaction, seq))
        })
        .await
    }

    /// Sets an event aside that the audit server has refused, so that it holds up no others.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn set_aside(&self, seq: i64) -> Result<(), StoreError> {
        self.transaction(move |transaction| audit::set_aside(transaction, seq))
            .await
    }

    /// Has the events sent again that were set aside, and returns how many there are.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn send_again(&self, caller: Caller) -> Result<usize, StoreError> {
        self.run(move |writer| writer.send_again(&caller)).await?
    }

    /// Waits until events are to be sent again; since the last call counts.
    pub async fn wait_for_resend(&self) {
        self.shared.resend.notified().await;
    }

    /// Writes an event of the refusals that were counted in each minute that is over. Returns in
    /// how long the next one is over; `None`: nothing is counted.
    ///
    /// # Errors
    /// It could not be written; the refusals stay counted.
    pub async fn sum_up_refusals(&self) -> Result<Option<Duration>, StoreError> {
        self.run(|writer| {
            let now = writer.shared.clock.now();
            writer.sum_up_refusals(|refusals| refusals.over(now))?;
            let due = writer.refusals.next_due();
            Ok(due.map(|due| due.since(now)))
        })
        .await?
    }

    /// The same for all minutes, over or not, as the service stops.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn sum_up_all_refusals(&self) -> Result<(), StoreError> {
        self.run(|writer| writer.sum_up_refusals(Refusals::all))
            .await?
    }

    /// Waits until a refusal was counted instead of written; one since the last call counts.
    pub async fn wait_for_counted(&self) {
        self.shared.counted.notified().await;
    }

    /// Waits until an event was added to the audit log; one that was added since the last call
    /// counts.
    pub async fn wait_for_event(&self) {
        self.shared.events.notified().await;
    }

    /// Moves what is in the write-ahead log into the database, as the service stops.
    ///
    /// # Errors
    /// It could not be written; then it stays in the log, which is as good.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.run(|writer| {
            writer
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(|source| StoreError::of(&writer.shared.path, "write", source))
        })
        .await?
    }

    /// Puts accounts and settings of the backup at `path` in the place of ours.
    ///
    /// # Errors
    /// The backup cannot be read, or nothing could be written; nothing has changed then.
    pub async fn restore(&self, path: PathBuf, caller: Caller) -> Result<Restored, StoreError> {
        self.run(move |writer| writer.restore(&path, &caller))
            .await?
    }

    /// Puts what is taken over in the place of accounts and settings of ours. Every login ends.
    ///
    /// # Errors
    /// There are faults and nobody forces it, or it could not be written; nothing has changed then.
    pub async fn take_over(
        &self,
        survey: Survey,
        strictness: Strictness,
        caller: Caller,
    ) -> Result<Summary, StoreError> {
        self.run(move |writer| writer.take_over(survey, strictness, &caller))
            .await?
    }

    async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |writer| {
            let done = || {
                let transaction = writer
                    .connection
                    .transaction_with_behavior(TransactionBehavior::Immediate)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            };
            done().map_err(|source| StoreError::of(&writer.shared.path, "write", source))
        })
        .await?
    }

    /// Says what to do when the database is no longer the file at its path, once: it should not
    /// return. It is called before a change is answered that went to a lost file.
    pub fn when_gone(&self, act: impl Fn(&StoreError) + Send + Sync + 'static) {
        // A second time would be a mistake in the program, and harmless.
        let _first = self.shared.when_gone.set(Box::new(act));
    }

    /// Makes sure that the database is still the file at its path.
    ///
    /// # Errors
    /// [`StoreError::Gone`], when [`Store::when_gone`] has returned.
    pub fn check_place(&self) -> Result<(), StoreError> {
        self.shared.check_place()
    }

    /// Runs `work` on the writer's thread, and makes sure that what it wrote is not lost.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let done = writer.shared.check_place().and_then(|()| {
                let value = work(writer);
                writer.shared.check_place().map(|()| value)
            });
            // Who asked may have gone: then nobody wants the answer.
            let _gone = answer.send(done);
        });
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        match sent {
            Some(Ok(())) => answered.await.unwrap_or(Err(StoreError::Stopped)),
            _ => Err(StoreError::Stopped),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was logged.
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    fn check_place(&self) -> Result<(), StoreError> {
        let checked = self.place.check();
        if let (Err(error), Some(act)) = (&checked, self.when_gone.get()) {
            act(error);
        }
        checked
    }
}

fn read(shared: &Shared) -> impl std::ops::Deref<Target = State> + '_ {
    shared.state.read().unwrap_or_else(PoisonError::into_inner)
}

fn write_lock(shared: &Shared) -> impl std::ops::DerefMut<Target = State> + '_ {
    shared.state.write().unwrap_or_else(PoisonError::into_inner)
}

/// All that the database holds, but for the audit log.
fn load(connection: &Connection) -> rusqlite::Result<State> {
    let mut state = State::default();
    settings::load(connection, &mut state)?;
    users::load(connection, &mut state)?;
    sessions::load(connection, &mut state)?;
    Ok(state)
}

/// The one who writes. It lives on a thread of its own.
struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    refusals: Refusals,
}

impl Writer {
    fn write<T, E>(
        &mut self,
        rule: impl FnOnce(&State, &mut Context) -> Result<Decision<T>, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let mut context = Context {
            now: self.shared.clock.now(),
            random: &mut SystemRandom,
        };
        let plan = rule(&read(&self.shared), &mut context);
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(error)),
        };
        self.commit(plan.changes, plan.events)?;
        Ok(Ok(plan.reply))
    }

    /// Writes changes and events down, then lets the state take them over. Refusals beyond their
    /// limit are counted instead.
    fn commit(&mut self, changes: Vec<Change>, events: Vec<Event>) -> Result<(), StoreError> {
        let mut refusals = self.refusals.clone();
        let events = refusals.limit(events, self.shared.clock.now());
        self.commit_as_they_are(changes, events)?;
        // What was not written has not happened, and does not count.
        if self.refusals.next_due().is_none() && refusals.next_due().is_some() {
            self.shared.counted.notify_one();
        }
        self.refusals = refusals;
        Ok(())
    }

    fn sum_up_refusals(
        &mut self,
        sum_up: impl FnOnce(&mut Refusals) -> Vec<Event>,
    ) -> Result<(), StoreError> {
        let mut refusals = self.refusals.clone();
        let events = sum_up(&mut refusals);
        self.commit_as_they_are(Vec::new(), events)?;
        self.refusals = refusals;
        Ok(())
    }

    fn send_again(&mut self, caller: &Caller) -> Result<usize, StoreError> {
        let mut write = || {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let number = audit::send_again(&transaction)?;
            let events = match number {
                0 => Vec::new(),
                1 => vec!["Had 1 event sent to the audit server again.".to_owned()],
                _ => vec![format!(
                    "Had {number} events sent to the audit server again."
                )],
            };
            let events = events
                .into_iter()
                .map(|message| caller.event("resend audit events", message));
            let appended = audit::append(&transaction, events.collect())?;
            transaction.commit()?;
            Ok((number, appended))
        };
        let (number, appended) =
            write().map_err(|source| StoreError::of(&self.shared.path, "write", source))?;
        self.tell(&appended);
        self.shared.resend.notify_one();
        Ok(number)
    }

    fn commit_as_they_are(
        &mut self,
        changes: Vec<Change>,
        events: Vec<Event>,
    ) -> Result<(), StoreError> {
        if changes.is_empty() && events.is_empty() {
            return Ok(());
        }
        let write = || {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            for change in &changes {
                write_change(&transaction, change)?;
            }
            let appended = audit::append(&transaction, events)?;
            transaction.commit()?;
            Ok(appended)
        };
        let appended =
            write().map_err(|source| StoreError::of(&self.shared.path, "write", source))?;
        {
            let mut state = write_lock(&self.shared);
            for change in changes {
                state.apply(change);
            }
        }
        self.tell(&appended);
        Ok(())
    }

    fn take_over(
        &mut self,
        survey: Survey,
        strictness: Strictness,
        caller: &Caller,
    ) -> Result<Summary, StoreError> {
        let takeover = Takeover::read(&survey, self.shared.clock.mark());
        takeover.check(strictness)?;
        let failed = |source| StoreError::of(&self.shared.path, "write", source);
        let (summary, appended) = takeover
            .write(&mut self.connection, caller)
            .map_err(failed)?;
        let mut replaced = load(&self.connection).map_err(failed)?;
        {
            let mut state = write_lock(&self.shared);
            replaced.skip_ids_of(&state);
            *state = replaced;
        }
        import::tell(&summary);
        self.tell(&appended);
        Ok(summary)
    }

    /// Tells the observer, and whoever delivers events, of new rows.
    fn tell(&self, appended: &audit::Appended) {
        appended.tell(self.shared.observer);
        if !appended.rows.is_empty() {
            self.shared.events.notify_one();
        }
    }
}

/// One change as SQL.
fn write_change(transaction: &Transaction, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::PutUser(user) => users::put(transaction, user),
        Change::DeleteUser(id) => users::delete(transaction, *id),
        Change::PutSettings(new) => settings::put(transaction, new),
        Change::SetAccessControl(on) => settings::set_access_control(transaction, *on),
        Change::PutSession(session) => sessions::put(transaction, session),
        Change::EndSession(id) => sessions::end(transaction, *id),
        Change::EndSessionsOf { user, except } => sessions::end_of(transaction, *user, *except),
        Change::EndAllSessions { except } => sessions::end_all(transaction, *except),
        Change::PutFormerUsername(former) => users::put_former(transaction, former),
        Change::PutAccessToken(digest, token) => sessions::put_access(transaction, digest, token),
        Change::PutRefreshToken(digest, token) => sessions::put_refresh(transaction, digest, token),
        Change::ForgetAccessTokens(digests) => sessions::forget_access(transaction, digests),
        Change::ForgetRefreshTokens(digests) => sessions::forget_refresh(transaction, digests),
    }
}
