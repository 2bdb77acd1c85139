//! What is kept of the values of one moment: how many, how much, how little, and how they spread.
//!
//! Adding points up is all that ever happens to them, in any order: a minute is the sum of its samples, and an hour
//! of its minutes.

use std::collections::BTreeMap;

use crate::limits::METRIC_BINS_MAX;

/// The values of one series over some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub count: f64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    spread: Spread,
}

/// How the values lie between the least and the greatest.
#[derive(Clone, Debug, PartialEq)]
enum Spread {
    /// All values are equal.
    One,
    /// Counts by bin. A bin is 2 % wide, so a percentile is off by 1 % at most.
    Bins(BTreeMap<i16, f64>),
    /// Statistic sets say nothing about it.
    Unknown,
}

/// What is asked of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
    /// The value that this share of all values, in percent, does not exceed.
    Percentile(f64),
}

impl Statistic {
    /// `Average`, …, or `p99.9`.
    pub fn parse(name: &str) -> Option<Statistic> {
        Some(match name {
            "SampleCount" => Statistic::SampleCount,
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Minimum" => Statistic::Minimum,
            "Maximum" => Statistic::Maximum,
            _ => {
                let percent = name.strip_prefix('p')?.parse::<f64>().ok()?;
                Statistic::Percentile(Some(percent).filter(|p| (0.0..=100.0).contains(p))?)
            }
        })
    }
}

impl Point {
    /// `count` times the same value.
    pub fn of(value: f64, count: f64) -> Point {
        Point { count, sum: value * count, min: value, max: value, spread: Spread::One }
    }

    /// Of values that somebody else has added up.
    pub fn added_up(count: f64, sum: f64, min: f64, max: f64) -> Point {
        let spread = if min < max { Spread::Unknown } else { Spread::One };
        Point { count, sum, min, max, spread }
    }

    /// Takes the other point's values in.
    pub fn add(&mut self, other: &Point) {
        let spread = self.spread_with(other);
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.spread = spread;
    }

    fn spread_with(&self, other: &Point) -> Spread {
        let equal = self.min.to_bits() == other.min.to_bits();
        match (&self.spread, &other.spread) {
            (Spread::Unknown, _) | (_, Spread::Unknown) => Spread::Unknown,
            (Spread::One, Spread::One) if equal => Spread::One,
            _ => {
                let mut bins = self.bins();
                for (bin, count) in other.bins() {
                    *bins.entry(bin).or_default() += count;
                }
                Spread::Bins(bounded(bins))
            }
        }
    }

    fn bins(&self) -> BTreeMap<i16, f64> {
        match &self.spread {
            Spread::One => BTreeMap::from([(bin(self.min), self.count)]),
            Spread::Bins(bins) => bins.clone(),
            Spread::Unknown => BTreeMap::new(),
        }
    }

    /// `None` for a percentile of values that were added up before they came here, and of no values.
    pub fn statistic(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::SampleCount => Some(self.count),
            Statistic::Average => (self.count > 0.0).then(|| self.sum / self.count),
            Statistic::Sum => Some(self.sum),
            Statistic::Minimum => Some(self.min),
            Statistic::Maximum => Some(self.max),
            Statistic::Percentile(percent) => self.percentile(percent),
        }
    }

    fn percentile(&self, percent: f64) -> Option<f64> {
        let bins = match &self.spread {
            Spread::One => return Some(self.min),
            Spread::Bins(bins) => bins,
            Spread::Unknown => return None,
        };
        let wanted = self.count * percent / 100.0;
        let mut seen = 0.0;
        for (bin, count) in bins {
            seen += count;
            if seen >= wanted {
                return Some(middle(*bin).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// How the spread is kept on disk; `None` for equal values.
    pub(super) fn spread_bytes(&self) -> Option<Vec<u8>> {
        let bins = match &self.spread {
            Spread::One => return None,
            Spread::Unknown => return Some(Vec::new()),
            Spread::Bins(bins) => bins,
        };
        let pack = |(bin, count): (&i16, &f64)| {
            let mut bytes = bin.to_le_bytes().to_vec();
            #[expect(clippy::cast_possible_truncation, reason = "24 bits of a count are plenty")]
            bytes.extend((*count as f32).to_le_bytes());
            bytes
        };
        Some(bins.iter().flat_map(pack).collect())
    }

    /// A point as it was kept.
    pub(super) fn kept(numbers: [f64; 4], spread: Option<&[u8]>) -> Point {
        let [count, sum, min, max] = numbers;
        let spread = match spread {
            None => Spread::One,
            Some([]) => Spread::Unknown,
            Some(bytes) => Spread::Bins(bytes.chunks_exact(6).map(unpack).collect()),
        };
        Point { count, sum, min, max, spread }
    }
}

fn unpack(bytes: &[u8]) -> (i16, f64) {
    let bin = i16::from_le_bytes([bytes[0], bytes[1]]);
    let count = f32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    (bin, f64::from(count))
}

const WIDTH: f64 = 1.02;
/// Bin numbers of positive values lie around this one, those of negative values around its opposite.
const ONE: f64 = 16_000.0;

#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
fn bin(value: f64) -> i16 {
    if value == 0.0 {
        return 0;
    }
    let size = (ONE + (value.abs().ln() / WIDTH.ln()).floor()).clamp(1.0, 32_000.0) as i16;
    if value > 0.0 { size } else { -size }
}

fn middle(bin: i16) -> f64 {
    let size = WIDTH.powf(f64::from(bin.unsigned_abs()) - ONE + 0.5);
    match bin.signum() {
        0 => 0.0,
        1 => size,
        _ => -size,
    }
}

/// Where there are too many bins, the lowest ones become one: people ask for high percentiles.
fn bounded(mut bins: BTreeMap<i16, f64>) -> BTreeMap<i16, f64> {
    while bins.len() > METRIC_BINS_MAX {
        let (_, count) = bins.pop_first().expect("there are too many");
        if let Some(mut next) = bins.first_entry() {
            *next.get_mut() += count;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(values: &[f64]) -> Point {
        let mut points = values.iter().map(|value| Point::of(*value, 1.0));
        let mut whole = points.next().unwrap();
        points.for_each(|next| whole.add(&next));
        whole
    }

    #[test]
    fn a_percentile_of_values_added_up_elsewhere_is_not_known() {
        let mut whole = Point::added_up(10.0, 55.0, 1.0, 10.0);
        assert_eq!(whole.statistic(Statistic::Percentile(50.0)), None);
        assert_eq!(whole.statistic(Statistic::Average), Some(5.5));
        whole.add(&Point::of(3.0, 1.0));
        assert_eq!(whole.statistic(Statistic::Percentile(50.0)), None);
        let equal = Point::added_up(4.0, 12.0, 3.0, 3.0);
        assert_eq!(equal.statistic(Statistic::Percentile(99.0)), Some(3.0));
    }

    proptest! {
        #[test]
        fn percentiles_are_near_and_a_kept_point_is_the_same(
            mut values in proptest::collection::vec(-1e6f64..1e6, 1..120),
            percent in 1.0f64..100.0,
        ) {
            let whole = point(&values);
            values.sort_by(f64::total_cmp);
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss,
                reason = "a rank among at most 120 values")]
            let rank = ((values.len() as f64 * percent / 100.0).ceil() as usize).max(1) - 1;
            let (found, exact) = (whole.statistic(Statistic::Percentile(percent)).unwrap(), values[rank]);
            // Beside the width of a bin, the rank may fall on a neighbour by a rounding.
            let near = |value: f64| (found - value).abs() <= 0.011 * value.abs() + 1e-9;
            let neighbours = &values[rank.saturating_sub(1)..(rank + 2).min(values.len())];
            prop_assert!(neighbours.iter().copied().any(near), "{found} is not near {exact}");
            let numbers = [whole.count, whole.sum, whole.min, whole.max];
            prop_assert_eq!(Point::kept(numbers, whole.spread_bytes().as_deref()), whole);
        }

        #[test]
        fn the_order_of_values_does_not_matter(values in proptest::collection::vec(0u32..1000, 2..50)) {
            let mut values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let forth = point(&values);
            values.reverse();
            prop_assert_eq!(point(&values), forth);
        }
    }
}
