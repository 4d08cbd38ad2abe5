//! Client of `opentrons-auth-directory`: one request and one answer for each connection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{
    Answer, Configuration, Operation, Request, MAX_ANSWER, MAX_REQUEST, VERSION,
};
use crate::domain::directory::Directory;

/// Maximum time for a question, from connecting to the end of the answer. The process itself gives the
/// directory 4 s.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What to do if nothing listens on the socket.
const WHAT_TO_DO: &str = "install the package opentrons-auth-directory, and run systemctl start \
     opentrons-auth-directory.socket";

/// Client of the process at a Unix socket.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// Creates a client that connects to the socket at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Asks the directory that `directory` configures. [`Answer::Unavailable`] also says that the process
    /// could not be asked, took longer than 5 s, or answered something else than was asked.
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
        let answer = match timeout(TIMEOUT, self.exchange(&request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Answer::Unavailable(format!("cannot ask {}: {error}", self.path.display()))
            }
            Err(_) => {
                return Answer::Unavailable(format!(
                    "{} did not answer within {} s",
                    self.path.display(),
                    TIMEOUT.as_secs()
                ))
            }
        };
        let fits = match &answer {
            Answer::Found(person) => !is_test && asked.map_or(true, |id| id == person.id),
            Answer::WrongPassword | Answer::SeveralFound => !is_test && asked.is_none(),
            Answer::NobodyFound | Answer::Barred(_) => !is_test,
            Answer::Tested(_) => is_test,
            Answer::Unavailable(_) | Answer::Misconfigured(_) => true,
        };
        if fits {
            return answer;
        }
        Answer::Unavailable(format!("{} answered another question", self.path.display()))
    }

    /// Sends a request, and reads the answer.
    async fn exchange(&self, request: &Request) -> io::Result<Answer> {
        let body = serde_json::to_vec(request)?;
        let length = u32::try_from(body.len())
            .ok()
            .filter(|length| *length <= MAX_REQUEST)
            .ok_or_else(|| io::Error::other("the request is too long"))?;
        let connected = UnixStream::connect(&self.path).await;
        let mut stream =
            connected.map_err(|error| io::Error::other(format!("{error}: {WHAT_TO_DO}")))?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&body).await?;
        let length = stream.read_u32().await?;
        if length > MAX_ANSWER {
            return Err(io::Error::other("the answer is too long"));
        }
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer).await?;
        // Without serde's reason, which may repeat a part of the answer.
        serde_json::from_slice(&answer).map_err(|_| io::Error::other("the answer is malformed"))
    }
}
