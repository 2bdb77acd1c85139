//! `StatsD` as Airflow sends it: lines of a datagram, tags behind the name as `InfluxDB` has them.

/// One line of a datagram.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) tags: Vec<(&'a str, &'a str)>,
    pub(super) value: Value,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// Something happened this often more; scaled up where only a share of it was sent.
    Count(f64),
    /// It is this much now.
    Gauge(f64),
    /// It is this much more, or less, than before.
    GaugeChange(f64),
    /// It took this long, and happened `times` for each one that was sent.
    Timing { took: f64, times: f64 },
}

impl Value {
    /// A time in another unit. Numbers of other things stay as they are.
    pub(super) fn scaled(self, by: f64) -> Value {
        match self {
            Value::Timing { took, times } => Value::Timing { took: took * by, times },
            Value::Count(_) | Value::Gauge(_) | Value::GaugeChange(_) => self,
        }
    }
}

impl<'a> Line<'a> {
    pub(super) fn tag(&self, name: &str) -> Option<&'a str> {
        self.tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| *value)
    }
}

/// The lines of a datagram. What cannot be understood is passed over: nobody could be told.
pub(super) fn parse(datagram: &[u8]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let Ok(text) = std::str::from_utf8(datagram) else { return lines };
    for line in text.split('\n').filter_map(line) {
        // A negative gauge is sent as 0 and a change of that, both in one datagram.
        if let (Value::GaugeChange(change), Some(last)) = (line.value, lines.last_mut())
            && let Value::Gauge(base) = last.value
            && last.name == line.name
            && last.tags == line.tags
        {
            last.value = Value::Gauge(base + change);
            continue;
        }
        lines.push(line);
    }
    lines
}

/// `name[,tag=value…]:number|kind[|@share][|#tag:value,…]`.
fn line(line: &str) -> Option<Line<'_>> {
    let (head, tail) = split(line.trim_end_matches('\r'))?;
    let mut parts = tail.split('|');
    let (number, kind) = (parts.next()?, parts.next()?);
    let (mut share, mut late_tags) = (1.0, "");
    for part in parts {
        if let Some(given) = part.strip_prefix('@') {
            share = given.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0)?;
        } else if let Some(given) = part.strip_prefix('#') {
            late_tags = given;
        }
    }
    let amount = number.parse::<f64>().ok().filter(|amount| amount.is_finite())?;
    let value = match kind {
        "c" => Value::Count(amount / share),
        "g" if number.starts_with(['+', '-']) => Value::GaugeChange(amount),
        "g" => Value::Gauge(amount),
        "ms" | "h" | "d" => Value::Timing { took: amount, times: 1.0 / share },
        _ => return None,
    };
    let mut names = head.split(',');
    let name = names.next().filter(|name| !name.is_empty())?;
    let early = names.filter_map(|tag| tag.split_once('='));
    let late = late_tags.split(',').filter_map(|tag| tag.split_once(':'));
    Some(Line { name, tags: early.chain(late).collect(), value })
}

/// The name with its tags, and the rest. A tag's value may hold colons and bars, so that the last place counts
/// where a colon is followed by a number, a bar and a kind.
fn split(line: &str) -> Option<(&str, &str)> {
    let looks_right = |rest: &str| {
        rest.split_once('|').is_some_and(|(number, kind)| {
            number.parse::<f64>().is_ok() && kind.starts_with(['c', 'g', 'm', 'h', 'd'])
        })
    };
    line.rmatch_indices(':')
        .map(|(at, _)| (&line[..at], &line[at + 1..]))
        .find(|(_, rest)| looks_right(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Line<'_> {
        let mut lines = parse(text.as_bytes());
        assert_eq!(lines.len(), 1, "{text}");
        lines.remove(0)
    }

    #[test]
    fn every_kind_that_airflow_sends_is_read() {
        assert_eq!(one("airflow.ti.start.d.t:1|c").value, Value::Count(1.0));
        assert_eq!(one("a:-1|c").value, Value::Count(-1.0));
        assert_eq!(one("a:1|c|@0.5").value, Value::Count(2.0));
        assert_eq!(one("airflow.executor.open_slots:32|g").value, Value::Gauge(32.0));
        assert_eq!(one("a:+2|g").value, Value::GaugeChange(2.0));
        assert_eq!(one("a:1500.000000|ms").value, Value::Timing { took: 1500.0, times: 1.0 });
        assert_eq!(one("a:0|g\na:-7|g").value, Value::Gauge(-7.0));
    }

    #[test]
    fn tags_are_read_in_both_spellings() {
        let influx = one("airflow.ti.start,dag_id=d.x,task_id=g.t:1|c");
        assert_eq!((influx.name, influx.tag("task_id")), ("airflow.ti.start", Some("g.t")));
        let dog = one("airflow.ti.start:1|c|#dag_id:d,task_id:t");
        assert_eq!((dog.name, dog.tag("dag_id")), ("airflow.ti.start", Some("d")));
        let colon = one("airflow.pool.open_slots,pool_name=a:b|c:12|g");
        assert_eq!(colon.tag("pool_name"), Some("a:b|c"));
        assert_eq!(colon.value, Value::Gauge(12.0));
    }

    #[test]
    fn nonsense_is_passed_over() {
        for text in
            ["", ":", "a", "a:b|c", "a:1", "a:1|x", ":1|c", "a:1|c|@0", "a:inf|g", "a:NaN|ms"]
        {
            assert_eq!(parse(text.as_bytes()), [], "{text}");
        }
        assert_eq!(parse(&[0xff, 0xfe]), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            name in "[a-z_.]{1,20}",
            tags in proptest::collection::vec(("[a-z_]{1,8}", "[a-zA-Z0-9_.:/ -]{1,12}"), 0..4),
            amount in 0u32..1_000_000,
        ) {
            let parts = tags.iter().map(|(tag, value)| format!("{tag}={value}"));
            let head = std::iter::once(name.clone()).chain(parts).collect::<Vec<_>>().join(",");
            let text = format!("{head}:{amount}|g");
            let read = one(&text);
            prop_assert_eq!(read.name, &name);
            let wanted: Vec<(&str, &str)> =
                tags.iter().map(|(tag, value)| (tag.as_str(), value.as_str())).collect();
            prop_assert_eq!(read.tags, wanted);
            prop_assert_eq!(read.value, Value::Gauge(f64::from(amount)));
        }
    }
}
