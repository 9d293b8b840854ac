//! Has the kernel hold the table, and knows how it looked when it was right.
//!
//! What the kernel lists right after our own transaction is what all later listings are held against. So nothing of
//! somebody else may be in it: it counts only if it has our mark, and if no other transaction than ours came between
//! the look before and the look after.

use std::time::{Duration, Instant};

use faros_firewall::{FAMILY, Listing, Live, Ruleset, TABLE};
use faros_kernel::{fights::Told, nft};

use super::{Router, repaired};
use crate::{balancer::Locked, daemon::Shared};

/// What the table is called where it is fought over.
pub(super) const WHAT: &str = "the table inet faros";

/// So often it is tried to look at the table before somebody else changes any.
const TRIES: u32 = 6;

/// The first pause between such tries; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(50);

/// What was last put into the kernel, and how it looked there.
pub(super) struct Held {
    text: String,
    listing: Listing,
    /// The kernel's number of the transaction after which it was looked at.
    pub(super) seen: u32,
    /// Whether it was right then.
    is_right: bool,
}

impl Router {
    /// Has the kernel hold these rules, unless somebody fights over them and it is not yet time.
    pub(super) async fn hold(&mut self, shared: &Shared, rules: &Ruleset) -> anyhow::Result<()> {
        // What the balancer has in the table goes over to the next one, and nothing of it changes meanwhile.
        let mut live = shared.balancing.table.lock().await?;
        let mark = rules.mark();
        let text = rules.text(&mark, &Live::default());
        let now = Instant::now();
        let is_same = self.held.as_ref().is_some_and(|held| held.text == text);
        let seen = nft::generation()?;
        match &self.held {
            Some(held) if is_same && held.seen == seen && held.is_right => {
                self.authors.clear();
                return Ok(());
            }
            Some(held) if is_same && !held.is_right && !self.fights.may(WHAT, now) => return Ok(()),
            _ => (),
        }
        let found = match live.take_found(seen) {
            Some(found) => found,
            None => listing().await?,
        };
        let mut told = Vec::new();
        if let Some(held) = self.held.as_mut().filter(|_| is_same) {
            told = held.listing.differences(&found, live.slots());
            // Whoever changes it after this look is told of.
            (held.seen, held.is_right) = (seen, told.is_empty());
            if told.is_empty() {
                // Someone changed another table, which is theirs.
                self.authors.clear();
                return Ok(());
            }
            let others = self.authors.drain(..).filter(|own| !live.is_own(own.pid));
            self.fighters.extend(others.map(|own| own.name));
            if !self.fights.may(WHAT, now) {
                return Ok(());
            }
        }
        let live_text = rules.text(&mark, &live.with(found.counted()));
        let (listing, seen) = load(&mut live, rules, &live_text, &mark).await?;
        if self.held.is_none() && found.mark() == Some(mark.as_str()) {
            // The same rules, from before farosd started: what is not as it was, was changed since.
            told = listing.differences(&found, live.slots());
        }
        if told.is_empty() {
            tracing::info!(mark, "the kernel has the firewall's rules");
        } else if self.fights.repaired(WHAT, now) == Told::Repair {
            let told: Vec<String> = told.iter().map(ToString::to_string).collect();
            repaired(shared, "rules", &told);
        }
        self.held = Some(Held {
            text,
            listing,
            seen,
            is_right: true,
        });
        Ok(())
    }
}

/// Loads the table, and looks at it before anybody else changes anything.
async fn load(
    live: &mut Locked<'_>,
    rules: &Ruleset,
    text: &str,
    mark: &str,
) -> anyhow::Result<(Listing, u32)> {
    let mut pause = PAUSE;
    for _ in 0..TRIES {
        let before = nft::generation()?;
        live.applied(nft::apply(text).await?);
        live.is_loaded(rules);
        let listing = listing().await?;
        let after = nft::generation()?;
        if is_ours(before, after) && listing.mark() == Some(mark) {
            return Ok((listing, after));
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    anyhow::bail!(
        "others change the packet filter all the time, so that it cannot be seen what the table inet faros holds"
    )
}

/// Whether one transaction, which is ours, was all that came between the two numbers.
const fn is_ours(before: u32, after: u32) -> bool {
    after == before.wrapping_add(1)
}

async fn listing() -> Result<Listing, nft::Nft> {
    let text = nft::list(FAMILY, TABLE).await?;
    Ok(text.as_deref().map(Listing::parse).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_others_may_have_changed_meanwhile_is_not_taken_for_ours() {
        for (before, after, is_so) in [(7, 8, true), (7, 9, false), (7, 7, false), (u32::MAX, 0, true)] {
            assert_eq!(is_ours(before, after), is_so, "{before} {after}");
        }
    }
}
