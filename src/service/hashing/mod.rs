//! Argon2id (RFC 9106), off the workers: two threads and a bounded queue, so that a storm of logins
//! takes neither the robot's memory nor its cores, and nobody holds up the others.

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

/// Threads that hash.
const THREADS: usize = 2;
/// Passwords that wait for a thread.
const QUEUE: usize = 32;
/// Memory of one hash of ours, in KiB: OWASP's least for Argon2id with two passes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Memory of all hashes at a time, in KiB. One that needs more by itself is made alone.
const BUDGET_KIB: u32 = THREADS as u32 * MEMORY_KIB;
/// Bytes of a salt (RFC 9106 §3.1).
const SALT_BYTES: usize = 16;

/// Why a password was not hashed.
#[derive(Debug, Error)]
pub enum HashError {
    /// Too many passwords wait already.
    #[error("too many passwords wait to be checked")]
    Busy,
    /// Argon2 failed: a stored hash is none, or there is no memory.
    #[error("cannot hash a password: {0}")]
    Failed(password_hash::Error),
    /// A stored hash asks for more memory or time than a hash may.
    #[error(
        "it asks for more than m={MAX_HASH_MEMORY_KIB}, t={MAX_HASH_PASSES}, p={MAX_HASH_LANES}"
    )]
    OutOfBounds,
}

/// Work on a thread; `None` when it is sent away.
type Job = Box<dyn FnOnce(Option<&Argon2>) + Send>;

/// What the threads share.
struct Shared {
    queue: Mutex<Queue<Job>>,
    changed: Condvar,
}

/// The threads that hash.
pub struct Hasher {
    shared: Arc<Shared>,
    /// Chooses stand-ins: another choice in each process.
    stand_ins: RandomState,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread could not be started.
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

    /// Which of `users` accounts stands in for a name that nobody has; always the same one for a
    /// name. `None` when there is none.
    pub fn stand_in(&self, name: &str, users: usize) -> Option<usize> {
        let number = self.stand_ins.hash_one(name);
        usize::try_from(number % u64::try_from(users.max(1)).ok()?)
            .ok()
            .filter(|_| users > 0)
    }

    /// A hash of nobody's password that takes as long to check as `like`, or as ours without it:
    /// nobody knows a password that it fits.
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

    /// Whether a hash has our algorithm and parameters.
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
    /// [`HashError::Busy`] or [`HashError::Failed`].
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

    /// Whether a hash is this password's, whichever parameters it has. One that is no hash, or asks
    /// for more memory or time than a hash may, is that of no password.
    ///
    /// # Errors
    /// [`HashError::Busy`] or [`HashError::Failed`].
    pub async fn verify(
        &self,
        share: Share,
        password: Password,
        hash: PasswordHash,
    ) -> Result<bool, HashError> {
        // One that cannot be checked is that of no password, and takes as long as any.
        let (hash, params) = match params_of(&hash) {
            Ok(params) => (hash, params),
            Err(error) => {
                log::error!("a stored hash fits no password: {error}");
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

    async fn run<T: Send + 'static>(
        &self,
        share: Share,
        memory_kib: u32,
        work: impl FnOnce(&Argon2) -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |argon2| {
            // A client that has gone needs no answer.
            if !answer.is_closed() {
                let done = match argon2 {
                    Some(argon2) => work(argon2).map_err(HashError::Failed),
                    None => Err(HashError::Busy),
                };
                let _gone = answer.send(done);
            }
        });
        let sent_away = lock(&self.shared).push(share, memory_kib, job);
        self.shared.changed.notify_all();
        if let Some(job) = sent_away {
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

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Queue<Job>> {
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn our_params() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are in range")
}

/// What a stored hash asks for.
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

/// Hashes until the [`Hasher`] is dropped.
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
        // A panic drops the job, whose client gets an error, and was logged.
        let _panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(Some(&argon2))));
        queue = lock(shared);
        queue.finished(memory_kib);
        shared.changed.notify_all();
    }
}
