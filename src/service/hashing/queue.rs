//! Bounded queue of passwords to hash. Sources take turns, as do the accounts of each source, and
//! the jobs that run at the same time stay within a memory budget.

use std::collections::VecDeque;

use crate::domain::authority::Source;
use crate::domain::users::UserId;

/// Account that a password is hashed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Account of a user.
    User(UserId),
    /// All unknown usernames together, since a client can make up as many as it likes.
    Nobody,
    /// All requests without a token together.
    Anonymous,
}

/// Share of the queue that a job belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Source of the request.
    pub source: Source,
    /// Account that the request concerns.
    pub account: Account,
}

/// Round-robin list: one value for each key, in the order of their turns. The values are the jobs
/// of an account, or the accounts of a source.
struct Turns<K, V>(VecDeque<(K, V)>);

impl<K: PartialEq, V> Turns<K, V> {
    /// Returns the value of a key, adding it at the end if it is missing.
    fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let found = self.0.iter().position(|(each, _)| *each == key);
        let index = found.unwrap_or_else(|| {
            self.0.push_back((key, new()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    /// Moves the first entry to the end, or removes it if it is empty.
    fn next_turn(&mut self, is_empty: impl FnOnce(&V) -> bool) {
        if let Some((key, value)) = self.0.pop_front() {
            if !is_empty(&value) {
                self.0.push_back((key, value));
            }
        }
    }

    /// Returns the index and value of the largest entry; of several, the one whose turn is last.
    fn largest(&mut self, size: impl Fn(&V) -> usize) -> Option<(usize, &mut V)> {
        let index = (0..self.0.len()).max_by_key(|index| size(&self.0[*index].1))?;
        Some((index, &mut self.0[index].1))
    }
}

/// Waiting jobs of an account, each with its memory in KiB.
type Jobs<J> = VecDeque<(u32, J)>;
/// Accounts of a source.
type Accounts<J> = Turns<Account, Jobs<J>>;

/// Returns the number of waiting jobs of a source.
fn waiting<J>(accounts: &Accounts<J>) -> usize {
    accounts.0.iter().map(|(_, jobs)| jobs.len()).sum()
}

/// Queue of jobs of type `J`.
pub struct Queue<J> {
    sources: Turns<Source, Accounts<J>>,
    most: usize,
    budget_kib: u32,
    used_kib: u32,
    closed: bool,
}

impl<J> Queue<J> {
    /// Creates a queue for at most `most` waiting jobs. Jobs that run at the same time use at most
    /// `budget_kib` KiB of memory together; a job that needs more runs alone.
    pub fn new(most: usize, budget_kib: u32) -> Self {
        Self {
            sources: Turns(VecDeque::new()),
            most,
            budget_kib,
            used_kib: 0,
            closed: false,
        }
    }

    /// Adds a job that needs `memory_kib` KiB. If the queue is full, removes and returns the newest
    /// job of the account with the most waiting jobs, in the source with the most waiting jobs.
    pub fn push(&mut self, share: Share, memory_kib: u32, job: J) -> Option<J> {
        self.sources
            .entry(share.source, || Turns(VecDeque::new()))
            .entry(share.account, VecDeque::new)
            .push_back((memory_kib, job));
        if self
            .sources
            .0
            .iter()
            .map(|(_, each)| waiting(each))
            .sum::<usize>()
            <= self.most
        {
            return None;
        }
        let (source, accounts) = self.sources.largest(waiting)?;
        let (account, jobs) = accounts.largest(VecDeque::len)?;
        let (_, rejected) = jobs.pop_back()?;
        if jobs.is_empty() {
            accounts.0.remove(account);
        }
        if accounts.0.is_empty() {
            self.sources.0.remove(source);
        }
        Some(rejected)
    }

    /// Removes and returns the next job with its memory in KiB. Returns `None` if there is no job,
    /// or if the next one must wait for memory; no other job overtakes it. Call [`Queue::finished`]
    /// when the job is done.
    pub fn pop(&mut self) -> Option<(u32, J)> {
        let (_, accounts) = self.sources.0.front_mut()?;
        let (_, jobs) = accounts.0.front_mut()?;
        let (memory_kib, _) = jobs.front()?;
        if self.used_kib > 0 && self.used_kib.saturating_add(*memory_kib) > self.budget_kib {
            return None;
        }
        let (memory_kib, job) = jobs.pop_front()?;
        self.used_kib += memory_kib;
        accounts.next_turn(VecDeque::is_empty);
        self.sources.next_turn(|accounts| accounts.0.is_empty());
        Some((memory_kib, job))
    }

    /// Releases the memory of a job that is done.
    pub fn finished(&mut self, memory_kib: u32) {
        self.used_kib -= memory_kib;
    }

    /// Closes the queue, which makes the threads that work on it exit.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Returns whether [`Queue::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u32 = 19;
    const ONE: Source = Some(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Source = Some(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn share(source: Source, account: Account) -> Share {
        Share { source, account }
    }

    fn user(number: i64) -> Account {
        Account::User(UserId(number))
    }

    /// Removes all jobs, one after the other.
    fn drain(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| {
            let (memory, job) = queue.pop()?;
            queue.finished(memory);
            Some(job)
        })
        .collect()
    }

    #[test]
    fn sources_take_turns_and_so_do_the_accounts_of_one() {
        let mut queue = Queue::new(32, 2 * SMALL);
        for (source, account, job) in [
            (ONE, Account::Nobody, "nobody 1"),
            (ONE, Account::Nobody, "nobody 2"),
            (ONE, Account::Nobody, "nobody 3"),
            (ONE, user(1), "ada"),
            (OTHER, user(2), "bea 1"),
            (OTHER, user(2), "bea 2"),
        ] {
            assert_eq!(queue.push(share(source, account), SMALL, job), None);
        }
        assert_eq!(
            drain(&mut queue),
            ["nobody 1", "bea 1", "ada", "bea 2", "nobody 2", "nobody 3"]
        );
    }

    #[test]
    fn full_queue_sends_away_who_has_most_and_not_the_newcomer() {
        let mut queue = Queue::new(4, 2 * SMALL);
        for job in ["1", "2", "3", "4"] {
            assert_eq!(queue.push(share(ONE, Account::Nobody), SMALL, job), None);
        }
        assert_eq!(
            queue.push(share(ONE, Account::Nobody), SMALL, "5"),
            Some("5")
        );
        assert_eq!(queue.push(share(ONE, user(1)), SMALL, "ada"), Some("4"));
        assert_eq!(queue.push(share(OTHER, user(1)), SMALL, "bea"), Some("3"));
        assert_eq!(drain(&mut queue), ["1", "bea", "ada", "2"]);
    }

    #[test]
    fn hash_that_takes_much_memory_is_made_alone_and_not_passed() {
        let mut queue = Queue::new(32, 2 * SMALL);
        queue.push(share(ONE, user(1)), SMALL, "small 1");
        queue.push(share(ONE, user(2)), 64, "large");
        queue.push(share(ONE, user(3)), SMALL, "small 2");
        assert_eq!(queue.pop(), Some((SMALL, "small 1")));
        assert_eq!(queue.pop(), None);
        queue.finished(SMALL);
        assert_eq!(queue.pop(), Some((64, "large")));
        assert_eq!(queue.pop(), None);
        queue.finished(64);
        assert_eq!(queue.pop(), Some((SMALL, "small 2")));
    }

    #[test]
    fn two_of_ours_are_made_at_a_time() {
        let mut queue = Queue::new(32, 2 * SMALL);
        for job in ["1", "2", "3"] {
            queue.push(share(ONE, user(1)), SMALL, job);
        }
        assert!(queue.pop().is_some() && queue.pop().is_some());
        assert_eq!(queue.pop(), None);
    }
}
