//! The places for connections, and which connection gives up its place when none is left.
//!
//! Idle connections cost a client nothing. Without this, one client could hold every place and keep
//! all others waiting until its connections time out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{timeout, Instant};

/// Maximum number of connections served at once by all workers together.
pub const MAX_CONNECTIONS: usize = 512;
/// Time after which another connection is chosen if the chosen one has not ended, because its worker
/// hangs.
const CHOOSE_AGAIN: Duration = Duration::from_secs(1);
/// [`Seat::idle_since`] of a connection with a request in progress.
const BUSY: u64 = u64::MAX;
/// [`Seat::idle_since`] of an idle connection that was chosen to be closed.
const CHOSEN: u64 = u64::MAX - 1;

/// Registry of the open connections.
pub struct Places {
    seats: Mutex<Seats>,
    news: Arc<News>,
    /// Held by the newcomer whose turn it is.
    turn: tokio::sync::Mutex<()>,
    /// Whether that newcomer has found no idle connection.
    awaited: AtomicBool,
}

/// Taken places. The number of a seat is never used again.
struct Seats {
    taken: BTreeMap<u64, Arc<Seat>>,
    next: u64,
}

/// What a newcomer waits for.
struct News {
    /// Start of the time that is counted in [`Seat::idle_since`].
    epoch: Instant,
    /// Number of connections that were accepted and have no place yet.
    newcomers: AtomicUsize,
    /// Notified when a place becomes free, a connection becomes idle, or a chosen one becomes busy.
    changed: Notify,
}

/// State of a connection that other threads may see.
pub struct Seat {
    /// Nanoseconds from [`News::epoch`] until the connection became idle, or [`BUSY`] or [`CHOSEN`].
    idle_since: AtomicU64,
    /// Wakes the task of the connection.
    waker: Mutex<Option<Waker>>,
    news: Arc<News>,
}

/// Place of a connection. When dropped, it is free for another.
pub struct Place {
    places: Arc<Places>,
    seat: Arc<Seat>,
    number: u64,
}

impl Default for Places {
    /// Creates a registry in which all places are free.
    fn default() -> Self {
        Self {
            seats: Mutex::new(Seats {
                taken: BTreeMap::new(),
                next: 0,
            }),
            news: Arc::new(News {
                epoch: Instant::now(),
                newcomers: AtomicUsize::new(0),
                changed: Notify::new(),
            }),
            turn: tokio::sync::Mutex::new(()),
            awaited: AtomicBool::new(false),
        }
    }
}

impl Places {
    /// Returns the number of accepted connections that have not ended.
    pub fn open_connections(&self) -> usize {
        // In this order, a newcomer that takes a place meanwhile is counted twice rather than not at
        // all.
        let waiting = self.news.newcomers.load(Ordering::SeqCst);
        waiting + self.seats().taken.len()
    }

    /// Returns whether a connection that was accepted waits for a place while all others are busy.
    pub fn are_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Returns a place for a connection that was just accepted. If none is free, the connection that
    /// has been idle longest is closed; if all are busy, the next one to become idle is.
    pub async fn claim(self: &Arc<Self>) -> Place {
        let _waiting = Newcomer::arrives(&self.news);
        let _turn = self.turn.lock().await;
        let mut chosen: Option<Arc<Seat>> = None;
        loop {
            if let Some(place) = self.take() {
                self.awaited.store(false, Ordering::Relaxed);
                return place;
            }
            if !chosen.as_ref().is_some_and(|seat| seat.is_chosen()) {
                chosen = self.choose();
            }
            self.awaited.store(chosen.is_none(), Ordering::Relaxed);
            let change = self.news.changed.notified();
            if timeout(CHOOSE_AGAIN, change).await.is_err() {
                chosen = None;
            }
        }
    }

    /// Takes a free place, if there is one.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let mut seats = self.seats();
        if seats.taken.len() >= MAX_CONNECTIONS {
            return None;
        }
        let number = seats.next;
        seats.next += 1;
        let seat = Arc::new(Seat {
            idle_since: AtomicU64::new(self.news.stamp(Instant::now())),
            waker: Mutex::new(None),
            news: Arc::clone(&self.news),
        });
        seats.taken.insert(number, Arc::clone(&seat));
        drop(seats);
        Some(Place {
            places: Arc::clone(self),
            seat,
            number,
        })
    }

    /// Chooses the connection that has been idle longest, and wakes it so that it closes.
    fn choose(&self) -> Option<Arc<Seat>> {
        let mut idle: Vec<(u64, Arc<Seat>)> = self
            .seats()
            .taken
            .values()
            .map(|seat| (seat.idle_since.load(Ordering::SeqCst), Arc::clone(seat)))
            .filter(|(since, _)| *since < CHOSEN)
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        let (_, seat) = idle.into_iter().find(|(since, seat)| seat.choose(*since))?;
        Some(seat)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn stamp(&self, now: Instant) -> u64 {
        let nanoseconds = now.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanoseconds).map_or(0, |since| since.min(CHOSEN - 1))
    }

    /// Tells a waiting newcomer of a change.
    fn tell(&self) {
        if self.newcomers.load(Ordering::SeqCst) > 0 {
            self.changed.notify_one();
        }
    }
}

/// Connection that is counted as a newcomer until this is dropped.
struct Newcomer<'a>(&'a News);

impl<'a> Newcomer<'a> {
    fn arrives(news: &'a News) -> Self {
        news.newcomers.fetch_add(1, Ordering::SeqCst);
        Self(news)
    }
}

impl Drop for Newcomer<'_> {
    fn drop(&mut self) {
        self.0.newcomers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Seat {
    /// Records that a request is in progress: the connection must not be closed, even if it was just
    /// chosen.
    pub fn set_busy(&self) {
        if self.idle_since.swap(BUSY, Ordering::SeqCst) == CHOSEN {
            self.news.tell();
        }
    }

    /// Records that the connection has been idle since `now`.
    pub fn set_idle(&self, now: Instant) {
        let stamp = self.news.stamp(now);
        self.idle_since.store(stamp, Ordering::SeqCst);
        self.news.tell();
    }

    /// Returns whether the connection was chosen to be closed, and no request came since.
    pub fn is_chosen(&self) -> bool {
        self.idle_since.load(Ordering::SeqCst) == CHOSEN
    }

    /// Chooses the connection to be closed if it has been idle since `since` all along.
    fn choose(&self, since: u64) -> bool {
        let chosen = self
            .idle_since
            .compare_exchange(since, CHOSEN, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if chosen {
            if let Some(waker) = &*self.waker() {
                waker.wake_by_ref();
            }
        }
        chosen
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Returns what the connection shares with the registry.
    pub fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// Sets the waker of the connection's task, to be woken when the connection is chosen.
    pub fn set_waker(&self, waker: &Waker) {
        *self.seat.waker() = Some(waker.clone());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.seat.waker() = None;
        self.places.seats().taken.remove(&self.number);
        self.seat.idle_since.store(BUSY, Ordering::SeqCst);
        self.seat.news.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::{Place, Places, MAX_CONNECTIONS};

    fn full() -> (Arc<Places>, Vec<Place>) {
        let places = Arc::new(Places::default());
        let taken = (0..MAX_CONNECTIONS)
            .map(|_| places.take().expect("a free place"))
            .collect();
        (places, taken)
    }

    #[test]
    fn longest_idle_is_chosen_and_each_once() {
        let (places, taken) = full();
        assert!(places.take().is_none());
        taken[0].seat.set_idle(Instant::now());
        taken[1].seat.set_busy();
        for next in [2, 3] {
            assert!(Arc::ptr_eq(&places.choose().unwrap(), &taken[next].seat));
            assert!(taken[next].seat.is_chosen());
        }
    }

    #[test]
    fn no_busy_one_is_chosen() {
        let (places, taken) = full();
        for place in &taken {
            place.seat.set_busy();
        }
        assert!(places.choose().is_none());
    }

    #[test]
    fn chosen_one_with_a_request_stays_and_another_is_chosen() {
        let (places, taken) = full();
        let chosen = places.choose().unwrap();
        assert!(Arc::ptr_eq(&chosen, &taken[0].seat));
        chosen.set_busy();
        assert!(!chosen.is_chosen());
        assert!(Arc::ptr_eq(&places.choose().unwrap(), &taken[1].seat));
    }

    #[actix_rt::test]
    async fn newcomer_gets_the_place_of_the_next_to_become_idle() {
        let (places, mut taken) = full();
        for place in &taken {
            place.seat.set_busy();
        }
        let claiming = actix_rt::spawn({
            let places = Arc::clone(&places);
            async move { places.claim().await.number }
        });
        tokio::task::yield_now().await;
        assert_eq!(places.open_connections(), MAX_CONNECTIONS + 1);
        let seat = taken[7].seat();
        seat.set_idle(Instant::now());
        while !seat.is_chosen() {
            tokio::task::yield_now().await;
        }
        taken.remove(7);
        assert_eq!(claiming.await.unwrap(), MAX_CONNECTIONS as u64);
        assert_eq!(places.open_connections(), MAX_CONNECTIONS - 1);
    }
}
