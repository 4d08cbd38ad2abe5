//! Password hashing with Argon2id (RFC 9106). Two threads and a bounded, fair queue ensure that a
//! flood of logins exhausts neither the robot's memory nor its cores, and that no client blocks the
//! others.

mod queue;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;
use tokio::sync::oneshot;

use self::queue::Queue;
pub use self::queue::{Account, Share};
use crate::domain::passwords::{
    Password, PasswordHash, MAX_HASH_LANES, MAX_HASH_MEMORY_KIB, MAX_HASH_PASSES,
};
use crate::domain::random::Random;
use crate::os::random::SystemRandom;

/// Number of hashing threads.
const THREADS: usize = 2;
/// Maximum number of passwords waiting for a thread.
const QUEUE: usize = 32;
/// Memory of one hash, in KiB: the minimum for Argon2id with two passes according to the OWASP
/// Password Storage Cheat Sheet.
const MEMORY_KIB: u32 = 19 * 1024;
/// Number of passes (t).
const PASSES: u32 = 2;
/// Degree of parallelism (p).
const LANES: u32 = 1;
/// Memory budget of all hashes computed at the same time, in KiB. A hash that needs more is
/// computed alone.
const BUDGET_KIB: u32 = THREADS as u32 * MEMORY_KIB;
/// Length of a salt, in bytes (RFC 9106 §3.1).
const SALT_BYTES: usize = 16;

/// Reason why a password was not hashed or verified.
#[derive(Debug, Error)]
pub enum HashError {
    /// The queue is full.
    #[error("too many passwords are waiting to be checked")]
    Busy,
    /// Argon2 failed: the stored hash is malformed, or there is not enough memory.
    #[error("cannot hash a password: {0}")]
    Failed(password_hash::Error),
    /// The parameters of the stored hash exceed the limits on memory and time.
    #[error(
        "its parameters exceed m={MAX_HASH_MEMORY_KIB}, t={MAX_HASH_PASSES}, p={MAX_HASH_LANES}"
    )]
    OutOfBounds,
}

/// Job for a hashing thread. It is called with `None` if the full queue rejects it.
type Job = Box<dyn FnOnce(Option<&Argon2>) + Send>;

/// State shared by the threads.
struct Shared {
    queue: Mutex<Queue<Job>>,
    /// Signals a change of the queue.
    changed: Condvar,
}

/// Hashes and verifies passwords on threads of its own, which exit when it is dropped.
pub struct Hasher {
    shared: Arc<Shared>,
    /// Keyed hash that selects stand-ins, with a different random key in each process.
    stand_ins: RandomState,
}

impl Hasher {
    /// Starts the hashing threads.
    ///
    /// # Errors
    /// The I/O error if a thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let hasher = Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(Queue::new(QUEUE, BUDGET_KIB)),
                changed: Condvar::new(),
            }),
            stand_ins: RandomState::new(),
        };
        for number in 0..THREADS {
            let shared = Arc::clone(&hasher.shared);
            std::thread::Builder::new()
                .name(format!("argon2-{number}"))
                .spawn(move || work(&shared))?;
        }
        Ok(hasher)
    }

    /// Selects which one of `users` accounts stands in for the unknown username `name`, as an
    /// index. The choice is always the same for a name. Returns `None` if there are no accounts.
    pub fn stand_in(&self, name: &str, users: usize) -> Option<usize> {
        let number = self.stand_ins.hash_one(name);
        usize::try_from(number % u64::try_from(users.max(1)).ok()?)
            .ok()
            .filter(|_| users > 0)
    }

    /// Returns a hash that no known password matches. Verifying it takes as long as verifying
    /// `like`, or a hash with our parameters if `like` is `None`.
    pub fn nobodys(like: Option<&PasswordHash>) -> PasswordHash {
        let params = like
            .and_then(|hash| params_of(hash).ok())
            .unwrap_or_else(our_params);
        PasswordHash::from_phc(format!(
            "$argon2id$v=19$m={},t={},p={}$b3BlbnRyb25zLWF1dGgtLQ${}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            "A".repeat(43)
        ))
    }

    /// Returns whether a hash has the algorithm, version and parameters that new hashes get.
    pub fn is_ours(hash: &PasswordHash) -> bool {
        let Ok(parsed) = password_hash::PasswordHash::new(hash.as_phc()) else {
            return false;
        };
        parsed.algorithm == Algorithm::Argon2id.ident()
            && parsed.version == Some(Version::V0x13.into())
            && params_of(hash).is_ok_and(|params| {
                let ours = our_params();
                (params.m_cost(), params.t_cost(), params.p_cost())
                    == (ours.m_cost(), ours.t_cost(), ours.p_cost())
            })
    }

    /// Hashes a password with a new salt.
    ///
    /// # Errors
    /// - [`HashError::Busy`] if the queue is full.
    /// - [`HashError::Failed`] if Argon2 failed, as when there is not enough memory.
    pub async fn hash(&self, share: Share, password: Password) -> Result<PasswordHash, HashError> {
        let mut bytes = [0; SALT_BYTES];
        SystemRandom.fill(&mut bytes);
        self.run(share, MEMORY_KIB, move |argon2| {
            let salt = SaltString::encode_b64(&bytes)?;
            let hash = argon2.hash_password(password.expose().as_bytes(), &salt)?;
            Ok(PasswordHash::from_phc(hash.to_string()))
        })
        .await
    }

    /// Hashes a password with a new salt; returns `None` if the queue is full, for a hash that the next
    /// login can leave as well.
    ///
    /// # Errors
    /// [`HashError::Failed`] if Argon2 failed, as when there is not enough memory.
    pub async fn hash_unless_busy(
        &self,
        share: Share,
        password: Password,
    ) -> Result<Option<PasswordHash>, HashError> {
        match self.hash(share, password).await {
            Ok(hash) => Ok(Some(hash)),
            Err(HashError::Busy) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a password matches a hash, which may have any parameters. A hash that is
    /// malformed or exceeds the limits on memory and time matches no password.
    ///
    /// # Errors
    /// - [`HashError::Busy`] if the queue is full.
    /// - [`HashError::Failed`] if Argon2 failed, as when there is not enough memory.
    pub async fn verify(
        &self,
        share: Share,
        password: Password,
        hash: PasswordHash,
    ) -> Result<bool, HashError> {
        // For a hash that cannot be verified, spend the usual time and report a mismatch.
        let (hash, params) = match params_of(&hash) {
            Ok(params) => (hash, params),
            Err(error) => {
                log::error!("cannot verify a password against its stored hash: {error}");
                (Self::nobodys(None), our_params())
            }
        };
        self.run(share, params.m_cost(), move |argon2| {
            let parsed = password_hash::PasswordHash::new(hash.as_phc())?;
            match argon2.verify_password(password.expose().as_bytes(), &parsed) {
                Ok(()) => Ok(true),
                Err(password_hash::Error::Password) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Queues `work`, which needs `memory_kib` KiB, and waits for its result.
    async fn run<T: Send + 'static>(
        &self,
        share: Share,
        memory_kib: u32,
        work: impl FnOnce(&Argon2) -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |argon2| {
            // Skip the work if the client has disconnected.
            if !answer.is_closed() {
                let done = match argon2 {
                    Some(argon2) => work(argon2).map_err(HashError::Failed),
                    None => Err(HashError::Busy),
                };
                let _gone = answer.send(done);
            }
        });
        let rejected = lock(&self.shared).push(share, memory_kib, job);
        self.shared.changed.notify_all();
        if let Some(job) = rejected {
            job(None);
        }
        answered
            .await
            .unwrap_or(Err(HashError::Failed(password_hash::Error::Crypto)))
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        lock(&self.shared).close();
        self.shared.changed.notify_all();
    }
}

/// Locks the queue, even if another thread panicked while holding the lock.
fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Queue<Job>> {
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the parameters of new hashes.
fn our_params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are in range")
}

/// Returns the parameters of a stored hash.
///
/// # Errors
/// - [`HashError::Failed`] if the hash is malformed.
/// - [`HashError::OutOfBounds`] if the parameters exceed the limits on memory and time.
fn params_of(hash: &PasswordHash) -> Result<Params, HashError> {
    let parsed = password_hash::PasswordHash::new(hash.as_phc()).map_err(HashError::Failed)?;
    let params = Params::try_from(&parsed).map_err(HashError::Failed)?;
    if params.m_cost() > MAX_HASH_MEMORY_KIB
        || params.t_cost() > MAX_HASH_PASSES
        || params.p_cost() > MAX_HASH_LANES
    {
        return Err(HashError::OutOfBounds);
    }
    Ok(params)
}

/// Runs jobs until the [`Hasher`] is dropped.
fn work(shared: &Shared) {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, our_params());
    let mut queue = lock(shared);
    while !queue.is_closed() {
        let Some((memory_kib, job)) = queue.pop() else {
            queue = shared
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(queue);
        // A panic is logged by the panic hook, and drops the job, so that its client gets an error.
        let _panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(Some(&argon2))));
        queue = lock(shared);
        queue.finished(memory_kib);
        shared.changed.notify_all();
    }
}
