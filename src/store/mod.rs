//! Storage: an SQLite database, one thread that writes to it, and a copy of its state in memory, from
//! which every request is served.
//!
//! A change is decided on the state in memory, committed together with its audit events in one
//! transaction, and only then applied to the state in memory. So a change that a client is told of,
//! or can see, is durable. Reads never access the disk; they take a lock that the writer holds only
//! while it applies changes.

mod audit;
mod check;
mod clock;
mod database;
mod directory;
mod error;
mod hash;
mod import;
mod place;
mod restore;
mod sessions;
mod settings;
mod space;
mod users;
mod values;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch, Notify};

pub use audit::{AuditLog, DeliveryStatus, Observer, Verified};
pub use database::{backup, is_damaged, move_aside, snapshot, DATABASE};
pub use error::StoreError;
pub use import::{
    clean_stage_directory, stage_directory, Carried, Import, Strictness, Summary, Survey,
};
pub use restore::{Backup, Restored};
pub use users::usernames;

use self::place::Place;
use self::space::Space;
use crate::domain::audit::{AuditRow, Event, Origin};
use crate::domain::authority::Caller;
use crate::domain::change::Change;
use crate::domain::decision::{Context, Decision, Priority};
use crate::domain::refusals::Refusals;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::os::clock::Clock;
use crate::os::random::SystemRandom;

/// Maximum number of expired sessions and tokens to remove in one transaction, so that no client's
/// write has to wait for long.
const FORGET_AT_ONCE: usize = 250;
/// Maximum number of free database pages to return to the file system in one transaction.
const VACUUM_PAGES: u32 = 256;

/// Work for the writer thread.
type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// Function to call when the database file was removed or replaced.
type WhenGone = Box<dyn Fn(&StoreError) + Send + Sync>;

/// Data shared by the readers and the writer thread.
struct Shared {
    path: PathBuf,
    place: Place,
    when_gone: OnceLock<WhenGone>,
    observer: Observer,
    state: RwLock<State>,
    clock: Clock,
    /// Signals that an event was added to the audit log.
    events: Notify,
    /// Signals that events are to be resent to the audit server.
    resend: Notify,
    /// Signals that a refusal was counted.
    counted: Notify,
}

/// Open database of a state directory. When it is dropped, pending writes are completed first.
pub struct Store {
    shared: Arc<Shared>,
    /// Queue of the writer thread; `None` only while the store is being dropped.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Whether the disk is full.
    full: watch::Receiver<bool>,
}

impl Store {
    /// Opens the database in `directory`, and creates it if it does not exist. `observer` is called
    /// with each audit row after it was committed. Reserves space on the disk for administration, and
    /// uses it if the disk is too full to open the database.
    ///
    /// # Errors
    /// The file is unchanged after an error.
    /// - [`StoreError::Damaged`] if the file is empty or malformed, or missing although its
    ///   write-ahead log exists.
    /// - [`StoreError::Foreign`] if the file is not a database of the auth server.
    /// - [`StoreError::Newer`] if its schema version is newer than this program supports.
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Io`] if it cannot be read,
    ///   created or migrated, or the writer thread cannot be started.
    /// - [`StoreError::Gone`] if the file was removed or replaced after it was opened.
    pub fn open(directory: &Path, observer: Observer) -> Result<Self, StoreError> {
        let path = directory.join(DATABASE);
        let mut connection = space::open(directory, &path)?;
        let failed = |source| StoreError::of(&path, "read", source);
        let (clock, mark) = Clock::resume(clock::load(&connection).map_err(failed)?.as_ref());
        let state = load(&connection).map_err(failed)?;
        if let Err(source) = clock::save(&mut connection, &mark) {
            // For example a full disk: reads still work.
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
        let space = Space::keep(directory, &shared.path);
        let full = space.watch();
        let mut writer = Writer {
            connection,
            shared: Arc::clone(&shared),
            refusals: Refusals::default(),
            space,
            is_closing: false,
        };
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    // A panic is logged by the panic hook; dropping the transaction rolls it back.
                    let _panicked = catch_unwind(AssertUnwindSafe(|| job(&mut writer)));
                    if writer.is_closing {
                        break;
                    }
                }
                // The database is closed before the end of the queue tells so.
                drop(writer);
                drop(queue);
            })
            .map_err(StoreError::io(&shared.path, "start the writer thread of"))?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
            full,
        })
    }

    /// Opens the database in `directory`. If it does not exist, creates it, with the state of the
    /// Python server if the directory contains any. No other process may be using the directory.
    ///
    /// # Errors
    /// - [`StoreError::NotImported`] if the Python server's state cannot be imported completely. It
    ///   is unchanged then, and no database is created.
    /// - All errors of [`Store::open`].
    pub fn open_or_import(directory: &Path, observer: Observer) -> Result<Self, StoreError> {
        let is_first = !directory.join(DATABASE).exists();
        if is_first {
            if let Some(import) = import::at_first_start(directory)? {
                let caller = Caller::anonymous(Origin::Server, None);
                import.make_database(directory, &caller, observer)?;
            }
        }
        let store = Self::open(directory, observer)?;
        if !is_first {
            import::warn_if_changed(directory)?;
        }
        Ok(store)
    }

    /// Returns the clock by which lifetimes are measured.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Calls `look` with the state and the current time. `look` must be fast, as writes wait for it.
    pub fn read<T>(&self, look: impl FnOnce(&State, Moment) -> T) -> T {
        let now = self.shared.clock.now();
        look(&read(&self.shared), now)
    }

    /// Calls `rule` with the state, commits its decision in one transaction, and returns the
    /// decision's reply. The decision has ordinary priority.
    ///
    /// # Errors
    /// Nothing has changed after an error, except with [`StoreError::Gone`]. The inner error is the
    /// one that `rule` returned; the outer error is one of these:
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the decision cannot be
    ///   committed.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if `rule` panicked.
    pub async fn write<T, E>(
        &self,
        rule: impl FnOnce(&State, &mut Context) -> Result<Decision<T>, E> + Send + 'static,
    ) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.write_by(move |state, context| Ok((rule(state, context)?, Priority::Ordinary)))
            .await
    }

    /// As [`Store::write`], but `rule` also returns the priority of its decision on a full disk.
    ///
    /// # Errors
    /// As [`Store::write`]. The refusal of a login that cannot be committed because the disk is full
    /// takes effect in memory, so that failed logins count.
    pub async fn write_by<T, E>(
        &self,
        rule: impl FnOnce(&State, &mut Context) -> Result<(Decision<T>, Priority), E> + Send + 'static,
    ) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run(move |writer| writer.write(rule)).await?
    }

    /// Returns whether the disk is full, and changes of that.
    pub fn watch_space(&self) -> watch::Receiver<bool> {
        self.full.clone()
    }

    /// Checks whether a full disk has space again.
    ///
    /// # Errors
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn check_space(&self) -> Result<(), StoreError> {
        self.run(|writer| writer.space.check()).await
    }

    /// Records an audit event for an operation at the console that changes no state.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn note(
        &self,
        caller: Caller,
        action: &'static str,
        message: String,
    ) -> Result<(), StoreError> {
        self.write_by(move |_, _| {
            let decision = Decision {
                changes: Vec::new(),
                events: vec![caller.event(action, message)],
                reply: (),
            };
            Ok::<_, std::convert::Infallible>((decision, Priority::Administration))
        })
        .await
        .map(|done| done.unwrap_or_else(|never| match never {}))
    }

    /// Removes expired sessions and tokens, in small transactions, so that other writes can take
    /// place in between. Also returns unused space to the file system and unused memory to the
    /// allocator.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn forget_expired(&self) -> Result<(), StoreError> {
        let steps = self.read(|state, now| state.expired(now, FORGET_AT_ONCE));
        for changes in steps {
            self.run(move |writer| writer.commit(Priority::Ordinary, changes, Vec::new()))
                .await??;
        }
        self.run(|writer| {
            let compacted = compact(&writer.connection);
            write_lock(&writer.shared).shrink();
            compacted.map_err(|source| StoreError::of(&writer.shared.path, "compact", source))
        })
        .await?
    }

    /// Stores a mark of the current time if the wall clock was set since the last check.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn mark_time(&self) -> Result<(), StoreError> {
        let Some(mark) = self.shared.clock.check_wall_clock() else {
            return Ok(());
        };
        log::info!("the wall clock was set; sessions are not affected");
        self.run(move |writer| {
            let connection = &mut writer.connection;
            let save = || clock::save(connection, &mark);
            writer.space.spend(Priority::Ordinary, save)
        })
        .await?
    }

    /// Sets whether events are delivered to an audit server. Events that are in the log when
    /// delivery is first enabled are not delivered.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn set_delivering(&self, delivering: bool) -> Result<(), StoreError> {
        self.transaction(move |transaction| audit::set_delivering(transaction, delivering))
            .await
    }

    /// Returns the next events to deliver to the audit server, in order and at most `most`.
    ///
    /// # Errors
    /// - [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the events cannot be read.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn undelivered(&self, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.transaction(move |transaction| audit::undelivered(transaction, most))
            .await
    }

    /// Records that the audit server accepted these events, given by their row numbers.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn set_delivered(&self, accepted: Vec<i64>) -> Result<(), StoreError> {
        self.transaction(move |transaction| {
            let mut each = accepted.iter();
            each.try_for_each(|seq| audit::set_delivered(transaction, *seq))
        })
        .await
    }

    /// Sets aside an event that the audit server rejected, given by its row number, so that delivery
    /// continues with the next one.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn set_aside(&self, seq: i64) -> Result<(), StoreError> {
        self.transaction(move |transaction| audit::set_aside(transaction, seq))
            .await
    }

    /// Marks all events that were set aside to be resent, and returns their number.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn send_again(&self, caller: Caller) -> Result<usize, StoreError> {
        self.run(move |writer| writer.send_again(&caller)).await?
    }

    /// Waits until [`Store::send_again`] is called. Returns at once if it was called since the last
    /// wait.
    pub async fn wait_for_resend(&self) {
        self.shared.resend.notified().await;
    }

    /// Records a summary of the refusals counted in each period that is over. Returns the time until
    /// the next summary is due; `None` if no refusals are counted.
    ///
    /// # Errors
    /// The refusals stay counted after an error.
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn sum_up_refusals(&self) -> Result<Option<Duration>, StoreError> {
        self.run(|writer| {
            let now = writer.shared.clock.now();
            writer.sum_up_refusals(|refusals| refusals.over(now))?;
            let due = writer.refusals.next_due();
            Ok(due.map(|due| due.since(now)))
        })
        .await?
    }

    /// Records a summary of the refusals counted in every period, even if it is not over, for use at
    /// shutdown.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn sum_up_all_refusals(&self) -> Result<(), StoreError> {
        self.run(|writer| writer.sum_up_refusals(Refusals::all))
            .await?
    }

    /// Waits until a refusal is counted instead of recorded. Returns at once if one was counted since
    /// the last wait.
    pub async fn wait_for_counted(&self) {
        self.shared.counted.notified().await;
    }

    /// Waits until an event is added to the audit log. Returns at once if one was added since the
    /// last wait.
    pub async fn wait_for_event(&self) {
        self.shared.events.notified().await;
    }

    /// Checkpoints the write-ahead log into the database file, for use at shutdown. If that fails, no
    /// data is lost: it stays in the log.
    ///
    /// # Errors
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.run(|writer| {
            writer
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(|source| StoreError::of(&writer.shared.path, "write", source))
        })
        .await?
    }

    /// Closes the database, even if others still have the store, for use at shutdown. Later operations
    /// fail with [`StoreError::Stopped`].
    pub async fn close(&self) {
        if let Some(jobs) = &self.jobs {
            // An error means that it is closed already.
            let _closed = jobs.send(Box::new(|writer| writer.is_closing = true));
            jobs.closed().await;
        }
    }

    /// Replaces accounts and settings by those of the backup at `path`, a private copy, which is
    /// migrated in place. All sessions end.
    ///
    /// # Errors
    /// Nothing has changed after an error, except with [`StoreError::Gone`].
    /// - [`StoreError::Damaged`] if the backup is not an intact SQLite database.
    /// - [`StoreError::Foreign`] if the backup is not a database of the auth server.
    /// - [`StoreError::Newer`] if its schema version is newer than this program supports.
    /// - [`StoreError::Sqlite`] if the backup cannot be read, or the database cannot be written;
    ///   [`StoreError::Full`] if the disk is full.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn restore(&self, path: PathBuf, caller: Caller) -> Result<Restored, StoreError> {
        self.run(move |writer| writer.restore(&path, &caller))
            .await?
    }

    /// Replaces accounts and settings by those of the Python server. All sessions end.
    ///
    /// # Errors
    /// Nothing has changed after an error, except with [`StoreError::Gone`].
    /// - [`StoreError::NotImported`] if there are faults and the import is not forced.
    /// - [`StoreError::Full`], [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the database cannot be
    ///   written.
    /// - [`StoreError::Gone`] if the database file was removed or replaced.
    /// - [`StoreError::Stopped`] if the writer thread panicked.
    pub async fn import(
        &self,
        survey: Survey,
        strictness: Strictness,
        caller: Caller,
    ) -> Result<Summary, StoreError> {
        self.run(move |writer| writer.import(survey, strictness, &caller))
            .await?
    }

    /// Runs `work` on the writer thread, in one transaction.
    async fn transaction<T: Send + 'static>(
        &self,
        work: impl Fn(&Transaction) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |writer| {
            let connection = &mut writer.connection;
            writer.space.spend(Priority::Ordinary, || {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            })
        })
        .await?
    }

    /// Sets the function to call when the database file was removed or replaced. Can be set only
    /// once. The function should not return; it is called before the caller of a write learns that
    /// its change went to a lost file.
    pub fn when_gone(&self, act: impl Fn(&StoreError) + Send + Sync + 'static) {
        // Setting it twice would be a bug, but a harmless one.
        let _first = self.shared.when_gone.set(Box::new(act));
    }

    /// Checks that the open database is still the file at its path. If it is not, calls the function
    /// set by [`Store::when_gone`].
    ///
    /// # Errors
    /// [`StoreError::Gone`] if the database or its write-ahead log was removed or replaced, and the
    /// function returned.
    pub fn check_place(&self) -> Result<(), StoreError> {
        self.shared.check_place()
    }

    /// Runs `work` on the writer thread, and checks before and after it that the database is still
    /// the file at its path.
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
            // If the caller no longer waits, the result is not needed.
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
            // A panic was logged by the panic hook.
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

/// Locks the state for reading.
fn read(shared: &Shared) -> impl std::ops::Deref<Target = State> + '_ {
    shared.state.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the state for writing.
fn write_lock(shared: &Shared) -> impl std::ops::DerefMut<Target = State> + '_ {
    shared.state.write().unwrap_or_else(PoisonError::into_inner)
}

/// Loads the state from the database: everything except the audit log.
fn load(connection: &Connection) -> rusqlite::Result<State> {
    let mut state = State::default();
    // SQLite locks the file, and looks whether it was changed, once for each transaction.
    let transaction = connection.unchecked_transaction()?;
    settings::load(&transaction, &mut state)?;
    directory::load(&transaction, &mut state)?;
    users::load(&transaction, &mut state)?;
    sessions::load(&transaction, &mut state)?;
    transaction.commit()?;
    Ok(state)
}

/// The only writer of the database, which runs on a thread of its own.
struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    refusals: Refusals,
    space: Space,
    /// Whether to end after the current job.
    is_closing: bool,
}

impl Writer {
    /// Calls `rule` with the state and commits its decision.
    fn write<T, E>(
        &mut self,
        rule: impl FnOnce(&State, &mut Context) -> Result<(Decision<T>, Priority), E>,
    ) -> Result<Result<T, E>, StoreError> {
        let mut context = Context {
            now: self.shared.clock.now(),
            random: &mut SystemRandom,
        };
        let decided = rule(&read(&self.shared), &mut context);
        let (decision, priority) = match decided {
            Ok(decided) => decided,
            Err(error) => return Ok(Err(error)),
        };
        let refusal = decision
            .is_refused_login()
            .then(|| (decision.changes.clone(), decision.events.clone()));
        let committed = self.commit(priority, decision.changes, decision.events);
        if let Err(error @ StoreError::Full { .. }) = &committed {
            self.space.log(error);
            if let Some((changes, events)) = refusal {
                // Else a full disk would give a stranger any number of tries at a password.
                self.apply(changes);
                self.refusals
                    .count_unrecorded(&events, self.shared.clock.now());
                self.shared.counted.notify_one();
            }
        }
        committed.map(|()| Ok(decision.reply))
    }

    /// Commits changes and events, then applies the changes to the state in memory. Refusals beyond
    /// the limit are counted instead of recorded.
    fn commit(
        &mut self,
        priority: Priority,
        changes: Vec<Change>,
        events: Vec<Event>,
    ) -> Result<(), StoreError> {
        let mut refusals = self.refusals.clone();
        let events = refusals.limit(events, self.shared.clock.now());
        self.commit_unlimited(priority, changes, events)?;
        // The counters change only after the commit has succeeded.
        if self.refusals.next_due().is_none() && refusals.next_due().is_some() {
            self.shared.counted.notify_one();
        }
        self.refusals = refusals;
        Ok(())
    }

    /// Records the events that `sum_up` makes of the counted refusals.
    fn sum_up_refusals(
        &mut self,
        sum_up: impl FnOnce(&mut Refusals) -> Vec<Event>,
    ) -> Result<(), StoreError> {
        let mut refusals = self.refusals.clone();
        let events = sum_up(&mut refusals);
        self.commit_unlimited(Priority::Ordinary, Vec::new(), events)?;
        self.refusals = refusals;
        Ok(())
    }

    /// Marks all events that were set aside to be resent, and records an audit event.
    fn send_again(&mut self, caller: &Caller) -> Result<usize, StoreError> {
        let connection = &mut self.connection;
        let write = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let number = audit::send_again(&transaction)?;
            let events = match number {
                0 => Vec::new(),
                1 => vec!["Requested that 1 event be resent to the audit server.".to_owned()],
                _ => vec![format!(
                    "Requested that {number} events be resent to the audit server."
                )],
            };
            let events = events
                .into_iter()
                .map(|message| caller.event("resend audit events", message));
            let appended = audit::append(&transaction, &events.collect::<Vec<_>>())?;
            transaction.commit()?;
            Ok((number, appended))
        };
        let (number, appended) = self.space.spend(Priority::Administration, write)?;
        self.tell(&appended);
        self.shared.resend.notify_one();
        Ok(number)
    }

    /// Commits changes and events, without the limit on refusals, then applies the changes to the
    /// state in memory.
    fn commit_unlimited(
        &mut self,
        priority: Priority,
        changes: Vec<Change>,
        events: Vec<Event>,
    ) -> Result<(), StoreError> {
        if changes.is_empty() && events.is_empty() {
            return Ok(());
        }
        let connection = &mut self.connection;
        let write = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for change in &changes {
                write_change(&transaction, change)?;
            }
            let appended = audit::append(&transaction, &events)?;
            transaction.commit()?;
            Ok(appended)
        };
        let appended = self.space.spend(priority, write)?;
        self.apply(changes);
        self.tell(&appended);
        Ok(())
    }

    /// Applies changes to the state in memory.
    fn apply(&self, changes: Vec<Change>) {
        let mut state = write_lock(&self.shared);
        for change in changes {
            state.apply(change);
        }
    }

    /// Replaces accounts and settings by those of the Python server.
    fn import(
        &mut self,
        survey: Survey,
        strictness: Strictness,
        caller: &Caller,
    ) -> Result<Summary, StoreError> {
        let import = Import::read(&survey, self.shared.clock.mark());
        import.check(strictness)?;
        let connection = &mut self.connection;
        let write = || import.write(connection, caller);
        let (summary, appended) = self.space.spend(Priority::Administration, write)?;
        let mut replaced = load(&self.connection)
            .map_err(|source| StoreError::of(&self.shared.path, "read", source))?;
        {
            let mut state = write_lock(&self.shared);
            replaced.skip_ids_of(&state);
            *state = replaced;
        }
        import::tell(&summary);
        self.tell(&appended);
        Ok(summary)
    }

    /// Passes new audit rows to the observer, and wakes up their delivery.
    fn tell(&self, appended: &audit::Appended) {
        appended.tell(self.shared.observer);
        if !appended.rows.is_empty() {
            self.shared.events.notify_one();
        }
    }
}

/// Returns free pages to the file system, and updates the statistics of the query planner.
fn compact(connection: &Connection) -> rusqlite::Result<()> {
    // SQLite frees one page each time that the statement is stepped.
    let vacuum = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
    let mut statement = connection.prepare(&vacuum)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    connection.execute_batch("PRAGMA optimize")
}

/// Writes a change to the database.
fn write_change(transaction: &Transaction, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::PutUser(user) => users::put(transaction, user),
        Change::DeleteUser(id) => users::delete(transaction, *id),
        Change::PutSettings(new) => settings::put(transaction, new),
        Change::PutDirectory(new) => directory::put(transaction, new.as_deref()),
        Change::SetAccessControl(on) => settings::set_access_control(transaction, *on),
        Change::PutSession(session) => sessions::put(transaction, session),
        Change::EndSession(id) => sessions::end(transaction, *id),
        Change::EndSessionsOf { user, except } => sessions::end_of(transaction, *user, *except),
        Change::EndAllSessions { except } => sessions::end_all(transaction, *except),
        Change::PutFormerUsername(former) => users::put_former(transaction, former),
        Change::PutHandle(handle, session) => sessions::put_handle(transaction, handle, *session),
        Change::PutAccessToken(digest, token) => sessions::put_access(transaction, digest, token),
        Change::PutRefreshToken(digest, token) => sessions::put_refresh(transaction, digest, token),
        Change::ForgetAccessTokens(digests) => sessions::forget_access(transaction, digests),
        Change::ForgetRefreshTokens(digests) => sessions::forget_refresh(transaction, digests),
    }
}
