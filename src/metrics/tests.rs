use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Durability;
use crate::limits::METRIC_WINDOW_SERIES_MAX;

const NOW_S: i64 = 1_790_000_000;

struct Kept {
    clock: Clock,
    metrics: Metrics,
    folder: tempfile::TempDir,
}

async fn kept() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(Timestamp::from_millis(NOW_S * 1000));
    let metrics = open(folder.path(), &clock).await;
    Kept { clock, metrics, folder }
}

async fn open(folder: &std::path::Path, clock: &Clock) -> Metrics {
    let path = folder.join("db");
    let db = Db::open(&path, Durability::Process, &[SCHEMA], clock.clone()).unwrap();
    Metrics::open(db, clock.clone()).await.unwrap()
}

fn metric(name: &str) -> Metric {
    let dimensions = Dimensions::from([("Environment".to_owned(), "dev".to_owned())]);
    Metric { namespace: "Mine".to_owned(), name: name.to_owned(), dimensions }
}

fn datum(name: &str, at_s: i64, value: f64) -> Datum {
    Datum {
        series: Series { metric: metric(name), unit: Unit::COUNT },
        at: Timestamp::from_millis(at_s * 1000),
        resolution: Resolution::Minute,
        point: Point::of(value, 1.0),
    }
}

fn question(name: &str, period_seconds: u32, from_s: i64, to_s: i64) -> Question {
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    let metric = metric(name);
    Question { metric, unit: None, period_seconds, from: at(from_s), to: at(to_s) }
}

async fn sums(metrics: &Metrics, question: Question) -> Vec<(i64, f64)> {
    let points = metrics.points(question).await.unwrap();
    points.iter().map(|point| (tiers::seconds(point.at), point.point.sum)).collect()
}

/// Sends to the socket, and lets the room run until its clock's next ten seconds.
async fn hear(kept: &Kept, lines: &[String]) {
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = kept.metrics.statsd_address().unwrap();
    for line in lines {
        sender.send_to(line.as_bytes(), address).await.unwrap();
    }
    let mut datagram = vec![0; STATSD_DATAGRAM_MAX_BYTES];
    for _ in lines {
        let length = kept.metrics.socket.recv(&mut datagram).await.unwrap();
        kept.metrics.take(&datagram[..length]);
    }
}

#[tokio::test]
async fn what_was_put_is_there_after_a_start_over() {
    let Kept { clock, metrics, folder } = kept().await;
    let minute = tiers::floor(NOW_S, 60);
    let data = vec![datum("a", NOW_S - 60, 1.0), datum("a", NOW_S, 2.0), datum("a", NOW_S, 3.0)];
    metrics.put(data).await.unwrap();
    drop(metrics);
    let metrics = open(folder.path(), &clock).await;
    let found = sums(&metrics, question("a", 60, NOW_S - 300, NOW_S + 60)).await;
    assert_eq!(found, [(minute - 60, 1.0), (minute, 5.0)]);
    let known = metrics.list(Filter::default()).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(tiers::seconds(known[0].newest), NOW_S);
}

#[tokio::test]
async fn a_metric_is_its_exact_dimensions_and_a_list_takes_some_of_them() {
    let Kept { metrics, folder: _folder, .. } = kept().await;
    metrics.put(vec![datum("a", NOW_S, 1.0)]).await.unwrap();
    let mut other = question("a", 60, NOW_S - 60, NOW_S + 60);
    other.metric.dimensions.clear();
    assert_eq!(metrics.points(other).await.unwrap(), []);
    let with = |name: &str, value: Option<&str>| Filter {
        dimensions: vec![(name.to_owned(), value.map(str::to_owned))],
        ..Filter::default()
    };
    for (filter, found) in [
        (with("Environment", None), 1),
        (with("Environment", Some("dev")), 1),
        (with("Environment", Some("other")), 0),
        (with("Pool", None), 0),
    ] {
        assert_eq!(metrics.list(filter).await.unwrap().len(), found);
    }
}

#[tokio::test]
async fn statsd_is_part_of_answers_at_once_and_stays_when_it_is_written() {
    let kept = kept().await;
    let line = |text: &str| format!("{}.{text}", statsd_prefix("dev", "2.10.3"));
    hear(&kept, &[line("scheduler_heartbeat:1|c"), line("scheduler_heartbeat:1|c")]).await;
    let mut heartbeat = question("SchedulerHeartbeat", 60, NOW_S - 60, NOW_S + 120);
    heartbeat.metric.namespace = AIRFLOW_NAMESPACE.to_owned();
    heartbeat.metric.dimensions.insert("Function".to_owned(), "Scheduler".to_owned());
    let minute = tiers::floor(NOW_S, 60);
    assert_eq!(sums(&kept.metrics, heartbeat.clone()).await, [(minute, 2.0)]);
    // The fine window ends and goes to disk; the minute goes on.
    kept.clock.advance(Duration::from_secs(10));
    let closed = kept.metrics.windows().take_ended(tiers::seconds(kept.clock.now()));
    kept.metrics.move_to_disk(closed).await;
    assert_eq!(sums(&kept.metrics, heartbeat.clone()).await, [(minute, 2.0)]);
    hear(&kept, &[line("scheduler_heartbeat:1|c")]).await;
    let points = kept.metrics.points(heartbeat.clone()).await.unwrap();
    assert_eq!((points[0].point.sum, points[0].point.count), (3.0, 1.0));
    let fine = Question { period_seconds: 10, ..heartbeat.clone() };
    let fine: f64 = sums(&kept.metrics, fine).await.iter().map(|(_, sum)| sum).sum();
    assert_eq!(fine.to_bits(), 3f64.to_bits());
    // An end in the middle of a minute loses nothing.
    let all = kept.metrics.windows().all();
    kept.metrics.move_to_disk(all).await;
    assert_eq!(sums(&kept.metrics, heartbeat).await, [(minute, 3.0)]);
}

#[tokio::test]
async fn the_room_hears_while_it_runs_and_writes_when_it_ends() {
    let Kept { clock, metrics, folder } = kept().await;
    let stop = CancellationToken::new();
    let running = metrics.clone().run(stop.clone());
    let talking = async {
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let line = format!("{}.dagbag_size:7|g", statsd_prefix("dev", "2.10.3"));
        sender.send_to(line.as_bytes(), metrics.statsd_address().unwrap()).await.unwrap();
        while metrics.list(Filter::default()).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(running, talking);
    drop(metrics);
    let metrics = open(folder.path(), &clock).await;
    assert_eq!(metrics.list(Filter::default()).await.unwrap()[0].series.metric.name, "DagBagSize");
}

/// A DAG that sends as hard as it can slows nobody down, and what is kept of it is bounded.
#[tokio::test]
async fn a_storm_of_datagrams_is_bounded_and_others_have_their_turn() {
    let Kept { metrics, folder: _folder, .. } = kept().await;
    let (stop, address) = (CancellationToken::new(), metrics.statsd_address().unwrap());
    let ended = stop.clone();
    let storm = std::thread::spawn(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let prefix = statsd_prefix("storm", "2.10.3");
        let mut sent = 0_u64;
        while !ended.is_cancelled() {
            let line = format!("{prefix}.dag_processing.last_run.seconds_ago.f{sent}:1|g");
            drop(socket.send_to(line.as_bytes(), address));
            sent += 1;
        }
        sent
    });
    // On one thread with the room: whoever does not yield would stand in the way.
    let others = async {
        for turn in 0..50 {
            metrics.put(vec![datum("a", NOW_S, f64::from(turn))]).await.unwrap();
        }
        while metrics.windows().unwritten(Width::Minute).count() < METRIC_WINDOW_SERIES_MAX {
            tokio::task::yield_now().await;
        }
        let values = sums(&metrics, question("a", 60, NOW_S - 60, NOW_S + 60)).await;
        assert_eq!(values.len(), 1);
        stop.cancel();
    };
    tokio::time::timeout(Duration::from_secs(30), async {
        tokio::join!(metrics.clone().run(stop.clone()), others);
    })
    .await
    .expect("others have their turn");
    assert!(storm.join().unwrap() >= METRIC_WINDOW_SERIES_MAX as u64);
    assert!(metrics.windows().unwritten(Width::Minute).count() <= METRIC_WINDOW_SERIES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// The model keeps every value for ever; what the ring still answers is the same, at its resolution.
    #[test]
    fn the_ring_answers_as_a_list_of_all_values_would(
        values in proptest::collection::vec((0i64..20 * 86_400, 0u16..100), 1..60),
        period in prop_oneof![Just(60u32), Just(300), Just(900), Just(3600)],
        back in 60i64..18 * 86_400,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kept = kept().await;
            let data = values.iter().map(|(age, value)| datum("a", NOW_S - age, f64::from(*value)));
            kept.metrics.put(data.collect()).await.unwrap();
            kept.metrics.remove_old(NOW_S).await.unwrap();
            let found = sums(&kept.metrics, question("a", period, NOW_S - back, NOW_S + 1)).await;
            let period = i64::from(period);
            let from = tiers::floor(NOW_S - back, period);
            let mut model: BTreeMap<i64, f64> = BTreeMap::new();
            for (age, value) in &values {
                // The width in which a value of this age is kept, if the period is finer than that.
                let width = match age {
                    ..=259_000 => 60,
                    259_001..=1_295_000 => 300,
                    _ => 3600,
                };
                let at = tiers::floor(NOW_S - age, width);
                if at >= from {
                    *model.entry(tiers::floor(at, period)).or_default() += f64::from(*value);
                }
            }
            let edge = |at: &i64| {
                [3 * 86_400, 15 * 86_400].iter().any(|kept| (NOW_S - kept - at).abs() < 7_200)
                    || (at - from).abs() < 3_600
            };
            // Around the age at which a tier ends, a period's values may be in either of two widths.
            let far = |points: Vec<(i64, f64)>| {
                points.into_iter().filter(|(at, _)| !edge(at)).collect::<Vec<_>>()
            };
            assert_eq!(far(found), far(model.into_iter().collect()));
        });
    }
}
