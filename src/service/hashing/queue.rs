//! The queue of passwords to hash: fair by source, then by account, bounded, and within the memory
//! that hashes may take together.

use std::collections::VecDeque;

use crate::domain::authority::Source;
use crate::domain::users::UserId;

/// For which account a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// A user's.
    User(UserId),
    /// All names that nobody has, together: a stranger can make up as many as they like.
    Nobody,
    /// Whoever asks without a token.
    Anonymous,
}

/// Whose share of the queue a password takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Where the request came from.
    pub source: Source,
    /// The account that it is about.
    pub account: Account,
}

/// Jobs of one key, or the queues of the keys below it, in the order in which their turns come.
struct Turns<K, V>(VecDeque<(K, V)>);

impl<K: PartialEq, V> Turns<K, V> {
    fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let found = self.0.iter().position(|(each, _)| *each == key);
        let index = found.unwrap_or_else(|| {
            self.0.push_back((key, new()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    /// Moves the front to the back, or drops it when nothing is left in it.
    fn next_turn(&mut self, is_empty: impl FnOnce(&V) -> bool) {
        if let Some((key, value)) = self.0.pop_front() {
            if !is_empty(&value) {
                self.0.push_back((key, value));
            }
        }
    }

    /// The one with the most in it; of several the one whose turn is the last.
    fn largest(&mut self, size: impl Fn(&V) -> usize) -> Option<(usize, &mut V)> {
        let index = (0..self.0.len()).max_by_key(|index| size(&self.0[*index].1))?;
        Some((index, &mut self.0[index].1))
    }
}

type Jobs<J> = VecDeque<(u32, J)>;
type Accounts<J> = Turns<Account, Jobs<J>>;

fn waiting<J>(accounts: &Accounts<J>) -> usize {
    accounts.0.iter().map(|(_, jobs)| jobs.len()).sum()
}

/// The queue. `J` is a job.
pub struct Queue<J> {
    sources: Turns<Source, Accounts<J>>,
    most: usize,
    budget_kib: u32,
    used_kib: u32,
    closed: bool,
}

impl<J> Queue<J> {
    /// A queue of at most so many jobs, of which those that run take so much memory together; one
    /// that needs more runs alone.
    pub fn new(most: usize, budget_kib: u32) -> Self {
        Self {
            sources: Turns(VecDeque::new()),
            most,
            budget_kib,
            used_kib: 0,
            closed: false,
        }
    }

    /// Adds a job that needs so much memory. A full queue sends the newest job away of the account
    /// that has most waiting in the source that has: it is returned.
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
        let (_, sent_away) = jobs.pop_back()?;
        if jobs.is_empty() {
            accounts.0.remove(account);
        }
        if accounts.0.is_empty() {
            self.sources.0.remove(source);
        }
        Some(sent_away)
    }

    /// The job whose turn it is, and its memory, unless there is none or it has to wait for memory:
    /// then no other one passes it. [`Queue::finished`] is due when it is done.
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

    /// Gives the memory of a job back.
    pub fn finished(&mut self, memory_kib: u32) {
        self.used_kib -= memory_kib;
    }

    /// Ends the threads that work on it.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether [`Queue::close`] was called.
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

    /// Takes all jobs, one after the other.
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
