//! Which width of points answers a question: the finest that is still kept, never finer than what is asked for.

use crate::clock::Timestamp;
use crate::limits::METRIC_TIERS;

/// A part of the asked time, and the tier that knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) tier: usize,
    /// Seconds since the epoch; the end is not part of it.
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Seconds since the epoch, in whole steps of `step` seconds.
pub(super) fn floor(seconds: i64, step: i64) -> i64 {
    seconds.div_euclid(step) * step
}

pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

/// The tiers that minutes go to.
pub(super) const COARSE: std::ops::Range<usize> = 1..METRIC_TIERS.len();

/// The parts of `from..to`, oldest first. `from` is moved to the beginning of its period.
pub(super) fn plan(period: i64, from: i64, to: i64, now: i64) -> Vec<Part> {
    let from = floor(from, period);
    if period < METRIC_TIERS[COARSE.start].step_seconds {
        let kept = now - METRIC_TIERS[0].kept_seconds;
        let part = Part { tier: 0, from: from.max(floor(kept, period) + period), to };
        return if part.from < part.to { vec![part] } else { Vec::new() };
    }
    let fits = |tier: &usize| period % METRIC_TIERS[*tier].step_seconds == 0;
    let finest = COARSE.rev().find(fits).unwrap_or(COARSE.start);
    let mut parts = Vec::new();
    let mut end = to;
    for (tier, of) in METRIC_TIERS.iter().enumerate().skip(finest) {
        let next_step = METRIC_TIERS.get(tier + 1).map_or(1, |next| next.step_seconds);
        let kept = floor(now - of.kept_seconds, next_step) + next_step;
        let begin = from.max(kept);
        if begin < end {
            parts.push(Part { tier, from: begin, to: end });
            end = begin;
        }
    }
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_week_of_minutes_is_made_of_minutes_and_of_five_minutes() {
        let now = 100 * DAY + 30;
        let parts = plan(60, now - 7 * DAY, now, now);
        assert_eq!(parts.iter().map(|part| part.tier).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(plan(3600, now - 7 * DAY, now, now).len(), 1);
        assert_eq!(plan(10, now - 60, now, now)[0].tier, 0);
        assert_eq!(plan(10, now - 2 * DAY, now - DAY, now), []);
    }

    proptest! {
        #[test]
        fn parts_follow_each_other_and_none_is_older_than_what_is_kept(
            minutes in 1i64..2000, age in 0i64..200 * DAY, long in 1i64..100 * DAY,
        ) {
            let now = 1000 * DAY + 17;
            let (from, to) = (now - age, (now - age + long).min(now));
            let parts = plan(minutes * 60, from, to, now);
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
                // No wide point lies on both sides.
                prop_assert_eq!(pair[1].from % METRIC_TIERS[pair[0].tier].step_seconds, 0);
            }
            if let Some(last) = parts.last() {
                prop_assert_eq!(last.to, to);
            }
            for part in parts {
                prop_assert!(part.from < part.to);
                prop_assert!(part.from >= now - METRIC_TIERS[part.tier].kept_seconds);
            }
        }
    }
}
