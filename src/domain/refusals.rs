//! Limit on the audit events of refused requests, so that unauthenticated clients cannot fill the
//! disk.

use std::collections::BTreeMap;
use std::time::Duration;

use super::audit::{Actor, Event, Origin, RefusalKind, LOGIN_FAILED, SESSION_ENDED};
use super::time::Moment;

/// Maximum number of refusals of one kind that are recorded one by one in each [`PERIOD`]. Further
/// ones, also those from which on [`MOST_TEXT`] is exceeded, are only counted.
pub const MOST: u32 = 20;
/// Maximum length of the reasons that these refusals state, in characters together: five times the
/// longest notes of a request. Without it, a few large notes a second would fill the disk as well.
pub const MOST_TEXT: usize = 10_000;
/// Length of a counting period, which starts with the first refusal of a kind.
pub const PERIOD: Duration = Duration::from_secs(60);

impl RefusalKind {
    /// Returns the event that summarizes `further` refusals of this kind.
    fn summary(self, further: u64) -> Event {
        let logins = match further {
            1 => "1 further login was refused within a minute".into(),
            _ => format!("{further} further logins were refused within a minute"),
        };
        let message = match self {
            Self::UnknownUser => format!("{logins}: there is no such user."),
            Self::WrongPassword => format!("{logins}: wrong password."),
            Self::LockedAccount => format!("{logins}: the account is locked."),
            Self::SlowedAccount => format!("{logins}: too many wrong passwords in a row."),
            Self::ExcessiveScope => {
                format!("{logins}: requested scopes that the account may not have.")
            }
            Self::Directory => format!("{logins}: the lab's directory did not let them in."),
            Self::ReusedRefreshToken => match further {
                1 => "1 further refresh token was reused within a minute: its session was ended."
                    .into(),
                _ => format!(
                    "{further} further refresh tokens were reused within a minute: their sessions \
                     were ended."
                ),
            },
        };
        let action = match self {
            Self::ReusedRefreshToken => SESSION_ENDED,
            _ => LOGIN_FAILED,
        };
        let actor = Actor::server();
        Event {
            action: action.into(),
            account_name: actor.account_name,
            legal_name: actor.legal_name,
            message,
            reason: None,
            origin: Some(Origin::Server),
            refusal: None,
        }
    }
}

/// Counting period for one kind of refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Period {
    /// Time of the first refusal.
    since: Moment,
    /// Refusals that got an event of their own; [`MOST`] if no further one does.
    written: u32,
    /// Length of the reasons in these events, in characters.
    text: usize,
    /// Further refusals, which were only counted.
    counted: u64,
}

/// Counters of refusals in the current periods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(BTreeMap<RefusalKind, Period>);

impl Refusals {
    /// Returns the events to record at `now`: summaries of the periods that are over, followed by
    /// `events` without the refusals beyond [`MOST`] or [`MOST_TEXT`], which are counted instead.
    pub fn limit(&mut self, events: Vec<Event>, now: Moment) -> Vec<Event> {
        let mut written = self.over(now);
        written.extend(events.into_iter().filter(|event| {
            let text = event.reason.as_ref().map_or(0, |it| it.chars().count());
            event
                .refusal
                .map_or(true, |kind| self.count(kind, text, now))
        }));
        written
    }

    /// Counts refusals that cannot be recorded, because the disk is full, for the next summary.
    pub fn count_unrecorded(&mut self, events: &[Event], now: Moment) {
        for event in events {
            // The refusal that locks an account has no kind, as it is never only counted otherwise.
            let kind = event.refusal.unwrap_or(RefusalKind::WrongPassword);
            self.period(kind, now).counted += 1;
        }
    }

    /// Returns the current period of a kind, which may begin at `now`.
    fn period(&mut self, kind: RefusalKind, now: Moment) -> &mut Period {
        self.0.entry(kind).or_insert(Period {
            since: now,
            written: 0,
            text: 0,
            counted: 0,
        })
    }

    /// Counts a refusal with `text` characters of reason, and returns whether it gets an event of its
    /// own.
    fn count(&mut self, kind: RefusalKind, text: usize, now: Moment) -> bool {
        let period = self.period(kind, now);
        if period.text + text > MOST_TEXT {
            period.written = MOST; // so that the shorter ones that follow are counted, too
        }
        if period.written < MOST {
            period.written += 1;
            period.text += text;
            return true;
        }
        period.counted += 1;
        false
    }

    /// Ends the periods that are over at `now`, and returns a summary for each that counted
    /// refusals.
    pub fn over(&mut self, now: Moment) -> Vec<Event> {
        self.end(|period| now.since(period.since) >= PERIOD)
    }

    /// Ends all periods, for use at shutdown, and returns a summary for each that counted refusals.
    pub fn all(&mut self) -> Vec<Event> {
        self.end(|_| true)
    }

    fn end(&mut self, ends: impl Fn(&Period) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        self.0.retain(|kind, period| {
            let over = ends(period);
            if over && period.counted > 0 {
                events.push(kind.summary(period.counted));
            }
            !over
        });
        events
    }

    /// Returns when the next summary is due; `None` if no refusals have been counted.
    pub fn next_due(&self) -> Option<Moment> {
        let counting = self.0.values().filter(|period| period.counted > 0);
        counting.map(|period| period.since + PERIOD).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One minute, in milliseconds.
    const MINUTE: i64 = 60_000;

    use RefusalKind::{ExcessiveScope, LockedAccount, ReusedRefreshToken, UnknownUser};

    fn event(refusal: Option<RefusalKind>) -> Event {
        Event {
            message: "own".into(),
            refusal,
            ..UnknownUser.summary(0)
        }
    }

    /// Records `number` refusals one after the other, and returns the messages of their events.
    fn refuse(refusals: &mut Refusals, kind: RefusalKind, number: usize, now: i64) -> Vec<String> {
        (0..number)
            .flat_map(|_| refusals.limit(vec![event(Some(kind))], Moment(now)))
            .map(|event| event.message)
            .collect()
    }

    #[test]
    fn twenty_are_written_and_nothing_is_due() {
        let mut refusals = Refusals::default();
        assert_eq!(refuse(&mut refusals, UnknownUser, 20, 5), ["own"; 20]);
        assert_eq!(refusals.next_due(), None);
        assert_eq!(refusals.over(Moment(5 + MINUTE)), []);
        assert_eq!(refusals.all(), []);
    }

    #[test]
    fn twenty_first_is_counted_and_told_when_the_minute_is_over() {
        let mut refusals = Refusals::default();
        assert_eq!(refuse(&mut refusals, UnknownUser, 21, 5), ["own"; 20]);
        assert_eq!(refusals.next_due(), Some(Moment(5 + MINUTE)));
        assert_eq!(refusals.over(Moment(5 + MINUTE - 1)), []);
        let told = refusals.over(Moment(5 + MINUTE));
        assert_eq!(
            told[0].message,
            "1 further login was refused within a minute: there is no such user."
        );
        assert_eq!(told.len(), 1);
        assert_eq!(
            (&*told[0].action, told[0].origin),
            (LOGIN_FAILED, Some(Origin::Server))
        );
        // Only once.
        assert_eq!(refusals.over(Moment(5 + MINUTE)), []);
        assert_eq!(refusals.next_due(), None);
    }

    #[test]
    fn next_one_after_the_minute_is_written_after_what_was_counted() {
        let mut refusals = Refusals::default();
        refuse(&mut refusals, LockedAccount, 37, 0);
        assert_eq!(refuse(&mut refusals, LockedAccount, 1, MINUTE - 1), [""; 0]);
        assert_eq!(
            refuse(&mut refusals, LockedAccount, 21, MINUTE)[..2],
            [
                "18 further logins were refused within a minute: the account is locked.",
                "own"
            ]
        );
        // The new period has its own minute.
        assert_eq!(refusals.next_due(), Some(Moment(2 * MINUTE)));
    }

    #[test]
    fn kinds_are_counted_apart_and_other_events_not_at_all() {
        let mut refusals = Refusals::default();
        refuse(&mut refusals, UnknownUser, 22, 0);
        assert_eq!(
            refuse(&mut refusals, ExcessiveScope, 21, 30_000),
            ["own"; 20]
        );
        for _ in 0..100 {
            assert_eq!(refusals.limit(vec![event(None)], Moment(1)).len(), 1);
        }
        assert_eq!(refusals.over(Moment(MINUTE)).len(), 1);
        assert_eq!(refusals.next_due(), Some(Moment(30_000 + MINUTE)));
    }

    #[test]
    fn large_reasons_are_counted_sooner_and_so_is_all_that_follows() {
        let mut refusals = Refusals::default();
        let with_reason = |length| Event {
            reason: Some("ü".repeat(length)),
            ..event(Some(UnknownUser))
        };
        let mut number = |length| {
            let events = vec![with_reason(length)];
            refusals.limit(events, Moment(0)).len()
        };
        let lengths = [2_000, 2_000, 2_000, 2_000, 2_000, 1, 0];
        assert_eq!(lengths.map(&mut number), [1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(refuse(&mut refusals, LockedAccount, 1, 0), ["own"]);
        let told = refusals.all();
        assert!(told[0].message.starts_with("2 further logins were"));
    }

    #[test]
    fn clock_that_stands_still_lets_no_more_through() {
        let mut refusals = Refusals::default();
        assert_eq!(refuse(&mut refusals, UnknownUser, 10_000, 7), ["own"; 20]);
        let told = refusals.all();
        assert!(told[0].message.starts_with("9980 further logins were"));
    }

    #[test]
    fn all_are_told_at_a_stop() {
        let mut refusals = Refusals::default();
        refuse(&mut refusals, UnknownUser, 22, 0);
        refuse(&mut refusals, ReusedRefreshToken, 23, 0);
        let told = refusals.all();
        assert_eq!(told.len(), 2);
        assert_eq!(
            told[1].message,
            "3 further refresh tokens were reused within a minute: their sessions were ended."
        );
        assert_eq!(told[1].action, SESSION_ENDED);
        assert_eq!(refusals, Refusals::default());
    }
}
