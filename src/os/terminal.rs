//! Reading text at a terminal without showing it.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::termios::{tcgetattr, tcsetattr, LocalFlags, SetArg, Termios};

/// Signals that end or stop a process at a terminal, which must be restored before.
const ENDING: [Signal; 5] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
];

/// Prints each prompt to standard error, and reads one line of the terminal that is standard input
/// after it, without its line break. Nothing that is typed is shown, from before the first prompt to
/// after the last line. What was typed before stays to be read. A signal that ends or stops this
/// process takes effect after the terminal was restored. No other thread may be running.
///
/// # Errors
/// - [`io::ErrorKind::UnexpectedEof`] if the input ends before a line does.
/// - The I/O error if the terminal cannot be read or set (`termios(3)`).
pub fn ask_hidden<const N: usize>(prompts: [&str; N]) -> io::Result<[String; N]> {
    let signals: SigSet = ENDING.into_iter().collect();
    signals.thread_block()?;
    let lines = ask_without_signals(prompts, &signals);
    signals.thread_unblock()?;
    lines
}

/// As [`ask_hidden`], while `signals` are blocked.
fn ask_without_signals<const N: usize>(
    prompts: [&str; N],
    signals: &SigSet,
) -> io::Result<[String; N]> {
    let ending = SignalFd::new(signals)?;
    let mut hidden = Hidden::hide()?;
    let mut lines = prompts.map(|_| String::new());
    for (prompt, line) in prompts.iter().zip(&mut lines) {
        write!(io::stderr(), "{prompt}")?;
        while !has_line(&ending)? {
            drop(hidden);
            // A signal that only stopped this process lets it continue here.
            signals.thread_unblock()?;
            signals.thread_block()?;
            hidden = Hidden::hide()?;
            write!(io::stderr(), "{prompt}")?;
        }
        if io::stdin().read_line(line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
    }
    Ok(lines)
}

/// Waits until a line can be read, and returns `true`, or a signal has arrived.
fn has_line(ending: &SignalFd) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut waited = [
        PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        PollFd::new(ending.as_fd(), PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(waited[1].any() != Some(true)),
        }
    }
}

/// The terminal that is standard input, which does not show what is typed. Dropping it restores the
/// terminal.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn hide() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        // At once and without discarding what was typed (`TCSAFLUSH`).
        tcsetattr(io::stdin(), SetArg::TCSANOW, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nothing that could be done about an error.
        let _ignored = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
