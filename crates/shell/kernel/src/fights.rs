//! When something that others keep changing may be put right again.
//!
//! What is changed once is put right at once. What is changed again as soon as it is right is fought over, by somebody
//! who may be as sure as farosd is: then each repair waits twice as long as the one before, up to a minute, and a
//! fight is told once and not with every blow. It is over when the thing stays right.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// So many repairs are at once.
const AT_ONCE: u32 = 3;

/// The first pause; each is twice the one before.
const FIRST: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST: Duration = Duration::from_mins(1);

/// What stays right for so long after its pause is not fought over.
const PEACE: Duration = Duration::from_mins(1);

/// What was put right, by its name.
#[derive(Debug, Default)]
pub struct Fights(BTreeMap<String, Fight>);

#[derive(Debug)]
struct Fight {
    times: u32,
    not_before: Instant,
    /// Whether it was found wrong, and has to wait.
    waits: bool,
}

/// How a repair is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// As a repair.
    Repair,
    /// As one of a fight, which is told of as a whole.
    Fight,
}

impl Fights {
    /// Whether this may be put right now. If not, it is remembered that it waits.
    pub fn may(&mut self, what: &str, now: Instant) -> bool {
        let Some(fight) = self.0.get_mut(what) else {
            return true;
        };
        fight.waits = now < fight.not_before;
        !fight.waits
    }

    /// Before all is looked at anew: what is still wrong is asked about again by [`Self::may`].
    pub fn look(&mut self) {
        for fight in self.0.values_mut() {
            fight.waits = false;
        }
    }

    /// Takes note that this was put right.
    pub fn repaired(&mut self, what: &str, now: Instant) -> Told {
        self.rest(now);
        let fight = self.0.entry(what.to_owned()).or_insert(Fight {
            times: 0,
            not_before: now,
            waits: false,
        });
        fight.times = fight.times.saturating_add(1);
        fight.waits = false;
        let over = fight.times.checked_sub(AT_ONCE);
        let pause = over.map(|over| FIRST.saturating_mul(2_u32.saturating_pow(over)).min(LONGEST));
        fight.not_before = now + pause.unwrap_or_default();
        if fight.times > AT_ONCE {
            Told::Fight
        } else {
            Told::Repair
        }
    }

    /// What is fought over now.
    pub fn over(&mut self, now: Instant) -> Vec<&str> {
        self.rest(now);
        let fights = self
            .0
            .iter()
            .filter(|(_, fight)| fight.times > AT_ONCE || fight.waits);
        fights.map(|(what, _)| what.as_str()).collect()
    }

    /// When something may be put right that waits, or a fight may be over.
    pub fn next(&self) -> Option<Instant> {
        let due = |fight: &Fight| match (fight.waits, fight.times > AT_ONCE) {
            (true, _) => Some(fight.not_before),
            (false, true) => Some(fight.not_before + PEACE),
            (false, false) => None,
        };
        self.0.values().filter_map(due).min()
    }

    /// Forgets what stayed right.
    fn rest(&mut self, now: Instant) {
        self.0.retain(|_, fight| now < fight.not_before + PEACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is changed as soon as it may be put right: after how many seconds each repair comes.
    fn pauses(n: usize) -> (Vec<u64>, Vec<Told>, Fights, Instant) {
        let (mut fights, mut now) = (Fights::default(), Instant::now());
        let (mut pauses, mut told) = (vec![], vec![]);
        for _ in 0..n {
            let since = now;
            while !fights.may("rules", now) {
                now = fights.next().unwrap_or(now);
            }
            pauses.push((now - since).as_secs());
            told.push(fights.repaired("rules", now));
        }
        (pauses, told, fights, now)
    }

    #[test]
    fn who_keeps_changing_it_back_is_answered_ever_more_seldom() {
        let (pauses, told, ..) = pauses(10);
        assert_eq!(pauses, [0, 0, 0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(told[..3], [Told::Repair; 3]);
        assert_eq!(told[3..], [Told::Fight; 7]);
    }

    #[test]
    fn what_stays_right_is_put_right_at_once_again() {
        let (_, _, mut fights, mut now) = pauses(6);
        assert_eq!(fights.over(now), ["rules"]);
        assert!(!fights.may("rules", now), "somebody changes it once more");
        let due = fights.next();
        assert!(due.is_some_and(|due| due < now + PEACE), "it is looked at soon");
        fights.look();
        assert!(fights.next() > due, "they set it right themselves");
        assert!(!fights.may("rules", now), "and wrong again");
        now = fights.next().unwrap_or(now);
        assert!(fights.may("rules", now));
        let _ = fights.repaired("rules", now);
        now = fights.next().unwrap_or(now);
        assert_eq!(fights.over(now), Vec::<&str>::new());
        assert_eq!(fights.next(), None);
        assert!(fights.may("rules", now));
        assert_eq!(fights.repaired("rules", now), Told::Repair);
    }

    #[test]
    fn one_fight_holds_up_no_other_repair() {
        let (_, _, mut fights, now) = pauses(5);
        assert!(fights.may("forwarding of lan0", now));
        assert_eq!(fights.repaired("forwarding of lan0", now), Told::Repair);
        assert_eq!(fights.over(now), ["rules"]);
    }
}
