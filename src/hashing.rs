//! Argon2id (RFC 9106), off the workers: two threads, and a queue that is bounded, so that a storm
//! of logins takes neither the robot's memory nor its cores.

use std::io;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::domain::password::{Password, PasswordHash};
use crate::domain::plan::Random;
use crate::store::SystemRandom;

/// Hashes at a time. Each takes [`MEMORY_KIB`] and a core.
const THREADS: usize = 2;
/// Passwords that wait for a thread.
const QUEUE: usize = 32;
/// Memory of one hash, in KiB: OWASP's least for Argon2id with two passes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bytes of a salt (RFC 9106 §3.1).
const SALT_BYTES: usize = 16;
/// A hash with the same cost as any other, of no password: nobody knows one that it fits.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$b3BlbnRyb25zLWF1dGgtLQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Job = Box<dyn FnOnce(&Argon2) + Send>;

/// Why a password was not hashed.
#[derive(Debug, Error)]
pub enum HashError {
    /// Too many passwords wait already.
    #[error("too many passwords wait to be checked")]
    Busy,
    /// Argon2 failed: a stored hash is none, or there is no memory.
    #[error("cannot hash a password: {0}")]
    Failed(password_hash::Error),
}

/// The threads that hash.
pub struct Hasher {
    queue: SyncSender<Job>,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start() -> io::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..THREADS {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new()
                .name(format!("argon2-{number}"))
                .spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// A hash of nobody's password, to check against where there is no user: it takes as long.
    pub fn nobodys() -> PasswordHash {
        PasswordHash::from_phc(NOBODYS.into())
    }

    /// Hashes a password with a new salt.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let mut bytes = [0; SALT_BYTES];
        SystemRandom.fill(&mut bytes);
        self.run(move |argon2| {
            let salt = SaltString::encode_b64(&bytes)?;
            let hash = argon2.hash_password(password.expose().as_bytes(), &salt)?;
            Ok(PasswordHash::from_phc(hash.to_string()))
        })
        .await
    }

    /// Whether a hash is this password's.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn verify(&self, password: Password, hash: PasswordHash) -> Result<bool, HashError> {
        self.run(move |argon2| {
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
        work: impl FnOnce(&Argon2) -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |argon2| {
            // A client that has gone needs no answer.
            if !answer.is_closed() {
                let _gone = answer.send(work(argon2));
            }
        });
        self.queue.try_send(job).map_err(|_| HashError::Busy)?;
        answered
            .await
            .unwrap_or(Err(password_hash::Error::Crypto))
            .map_err(HashError::Failed)
    }
}

/// Hashes until the [`Hasher`] is dropped.
fn work(jobs: &Mutex<Receiver<Job>>) {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are in range");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&argon2),
            Err(_) => return,
        }
    }
}
