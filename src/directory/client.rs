//! Client of `opentrons-auth-directory`: one request and one answer for each connection.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{timeout, timeout_at, Instant};

use super::protocol::{
    Answer, Configuration, Operation, Request, MAX_ANSWER, MAX_REQUEST, MAX_REQUESTS, VERSION,
};
use crate::domain::directory::Directory;

/// Maximum time for a question, from connecting to the end of the answer. The process itself gives the
/// directory 4 s.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time that a question waits before, while the process is answering others.
const QUEUE_TIME: Duration = Duration::from_secs(1);

/// What to do if nothing listens on the socket.
const WHAT_TO_DO: &str = "install the package opentrons-auth-directory, and run systemctl start \
     opentrons-auth-directory.socket";

/// Client of the process at a Unix socket.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    /// Places for questions at the same time. Clones share them.
    places: Arc<Semaphore>,
}

impl Client {
    /// Creates a client that connects to the socket at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            places: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Asks the directory that `directory` configures. [`Answer::Unavailable`] also says that the process
    /// could not be asked; [`Answer::Unanswered`] that it took longer than 5 s, or answered something
    /// else than was asked.
    pub async fn ask(&self, directory: &Directory, operation: Operation) -> Answer {
        let asked = match &operation {
            Operation::LookUp { id } => Some(id.clone()),
            Operation::Verify { .. } | Operation::Test => None,
        };
        let is_test = matches!(operation, Operation::Test);
        let request = Request {
            version: VERSION,
            configuration: Configuration::from(directory.clone()),
            operation,
        };
        let answer = match self.exchange(&request).await {
            Ok(answer) => answer,
            Err(answer) => return answer,
        };
        let fits = match &answer {
            Answer::Found(person) => !is_test && asked.map_or(true, |id| id == person.id),
            Answer::WrongPassword | Answer::SeveralFound => !is_test && asked.is_none(),
            Answer::NobodyFound | Answer::Barred(_) => !is_test,
            Answer::Tested(_) => is_test,
            Answer::Unavailable(_) | Answer::Unanswered(_) | Answer::Misconfigured(_) => true,
        };
        if fits {
            return answer;
        }
        Answer::Unanswered(format!("{} answered another question", self.path.display()))
    }

    /// Sends a request, and reads the answer.
    ///
    /// # Errors
    /// The answer that says why there is none.
    async fn exchange(&self, request: &Request) -> Result<Answer, Answer> {
        let cannot = |error| format!("cannot ask {}: {error}", self.path.display());
        let not_asked = |error: io::Error| Answer::Unavailable(cannot(error));
        let request = framed(request).map_err(not_asked)?;
        let Ok(_place) = timeout(QUEUE_TIME, self.places.acquire()).await else {
            let why = io::Error::other("too many questions at the same time");
            return Err(not_asked(why));
        };
        let deadline = Instant::now() + TIMEOUT;
        let connected = by(deadline, UnixStream::connect(&self.path)).await;
        let stream = connected
            .map_err(|error| not_asked(io::Error::other(format!("{error}: {WHAT_TO_DO}"))))?;
        let answered = by(deadline, send(stream, &request)).await;
        answered.map_err(|error| Answer::Unanswered(cannot(error)))
    }
}

/// Waits for a result until the deadline.
async fn by<T>(deadline: Instant, result: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || format!("it did not answer within {} s", TIMEOUT.as_secs());
    let in_time = timeout_at(deadline, result).await;
    in_time.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, late()))?
}

/// Returns a request as it is sent.
fn framed(request: &Request) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(request)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length <= MAX_REQUEST)
        .ok_or_else(|| io::Error::other("the request is too long"))?;
    Ok([&length.to_be_bytes()[..], &body].concat())
}

/// Sends a request, and reads the answer.
async fn send(mut stream: UnixStream, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request).await?;
    let length = stream.read_u32().await?;
    if length > MAX_ANSWER {
        return Err(io::Error::other("the answer is too long"));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await?;
    // Without serde's reason, which may repeat a part of the answer.
    serde_json::from_slice(&answer).map_err(|_| io::Error::other("the answer is malformed"))
}
