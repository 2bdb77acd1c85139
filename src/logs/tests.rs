use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

struct Room {
    logs: Logs,
    clock: Clock,
    journal: Db,
    _folder: tempfile::TempDir,
}

async fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(Timestamp::from_millis(NOW_MS));
    let journal =
        Db::open(&folder.path().join("db"), Durability::Process, &[], clock.clone()).unwrap();
    let path = folder.path().join("logs.db");
    let logs =
        Logs::open(&path, Durability::Process, clock.clone(), journal.clone()).await.unwrap();
    logs.ensure_group(&group()).await.unwrap();
    Room { logs, clock, journal, _folder: folder }
}

fn group() -> LogGroupName {
    LogGroupName::parse("airflow-dev-Task").unwrap()
}

fn stream(name: &str) -> LogStreamName {
    LogStreamName::parse(name).unwrap()
}

fn drafts(events: &[(i64, &str)]) -> Vec<Draft> {
    events
        .iter()
        .map(|(at, text)| Draft {
            at: Timestamp::from_millis(NOW_MS + at),
            message: (*text).to_owned(),
        })
        .collect()
}

fn texts(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.message.as_str()).collect()
}

fn search(pattern: &str) -> Search {
    Search {
        streams: Streams::All,
        span: Span::ALL,
        pattern: Pattern::parse(pattern).unwrap(),
        direction: Direction::Forward,
        from: None,
        limit: 100,
    }
}

impl Room {
    async fn write(&self, name: &str, events: &[(i64, &str)]) -> Appended {
        self.logs.write(&group(), &stream(name), drafts(events)).await.unwrap()
    }

    async fn read(&self, name: &str, direction: Direction, from: Option<Position>) -> Page {
        let ask = Ask { span: Span::ALL, direction, from, limit: 2 };
        self.logs.read(&group(), &stream(name), ask).await.unwrap()
    }
}

#[tokio::test]
async fn a_follower_reads_on_from_where_a_stream_ended() {
    let room = room().await;
    room.write("s", &[(1, "a"), (2, "b"), (3, "c")]).await;
    let first = room.read("s", Direction::Forward, None).await;
    assert_eq!(texts(&first.events), ["a", "b"]);
    let second = room.read("s", Direction::Forward, Some(first.forward)).await;
    assert_eq!(texts(&second.events), ["c"]);
    let end = room.read("s", Direction::Forward, Some(second.forward)).await;
    assert_eq!((end.events.len(), end.forward), (0, second.forward));
    room.write("s", &[(3, "d")]).await;
    let on = room.read("s", Direction::Forward, Some(end.forward)).await;
    assert_eq!(texts(&on.events), ["d"]);
    let back = room.read("s", Direction::Backward, Some(end.backward)).await;
    assert_eq!(texts(&back.events), ["b", "c"]);
}

#[tokio::test]
async fn an_empty_stream_shows_what_comes_later() {
    let room = room().await;
    room.logs.create_stream(&group(), &stream("s")).await.unwrap();
    let page = room.read("s", Direction::Backward, None).await;
    room.write("s", &[(0, "a")]).await;
    let later = room.read("s", Direction::Forward, Some(page.forward)).await;
    assert_eq!(texts(&later.events), ["a"]);
}

#[tokio::test]
async fn events_out_of_their_time_are_left_out_and_named() {
    let room = room().await;
    room.logs.set_retention(&group(), Some(1)).await.unwrap();
    let day = 24 * 60 * 60 * 1000;
    let appended = room
        .write("s", &[(-15 * day, "old"), (-2 * day, "expired"), (0, "fine"), (day, "new")])
        .await;
    let expected =
        Appended { too_old_before: Some(1), expired_before: Some(2), too_new_from: Some(3) };
    assert_eq!(appended, expected);
    assert_eq!(texts(&room.read("s", Direction::Forward, None).await.events), ["fine"]);
    let span = room.logs.append(&group(), &stream("s"), drafts(&[(-1, "x"), (day, "y")])).await;
    assert!(span.is_ok(), "what is left out does not count for the span");
}

#[tokio::test]
async fn expired_events_are_seen_no_longer_and_then_removed() {
    let room = room().await;
    room.write("s", &[(0, "a")]).await;
    room.logs.set_retention(&group(), Some(1)).await.unwrap();
    room.clock.advance(Duration::from_hours(25));
    room.write("s", &[(25 * 60 * 60 * 1000, "b")]).await;
    assert_eq!(texts(&room.read("s", Direction::Forward, None).await.events), ["b"]);
    let before = room.logs.group(&group()).await.unwrap().stored_bytes;
    room.logs.expire().await.unwrap();
    let after = room.logs.group(&group()).await.unwrap().stored_bytes;
    assert_eq!((before, after), (2 * 27, 27));
}

#[tokio::test]
async fn over_the_limit_the_oldest_go() {
    let room = room().await;
    let logs = room.logs.clone().with_max_bytes(10 * 27);
    for at in 0..25 {
        logs.write(&group(), &stream("s"), drafts(&[(at, "x")])).await.unwrap();
    }
    let ask = Ask { span: Span::ALL, direction: Direction::Forward, from: None, limit: 100 };
    let kept = logs.read(&group(), &stream("s"), ask).await.unwrap().events;
    let times: Vec<i64> = kept.iter().map(|event| event.position.at_ms - NOW_MS).collect();
    assert_eq!(times, (15..25).collect::<Vec<_>>());
    assert_eq!(logs.group(&group()).await.unwrap().stored_bytes, 10 * 27);
}

#[tokio::test]
async fn a_group_that_talks_much_pushes_out_its_own_events() {
    let room = room().await;
    let logs = room.logs.clone().with_max_bytes(10 * 27);
    let quiet = LogGroupName::parse("quiet").unwrap();
    logs.ensure_group(&quiet).await.unwrap();
    logs.write(&quiet, &stream("s"), drafts(&[(0, "x"), (1, "x")])).await.unwrap();
    for at in 0..25 {
        logs.write(&group(), &stream("s"), drafts(&[(at, "x")])).await.unwrap();
    }
    assert_eq!(logs.group(&quiet).await.unwrap().stored_bytes, 2 * 27);
    assert_eq!(logs.group(&group()).await.unwrap().stored_bytes, 8 * 27);
}

#[tokio::test]
async fn a_search_goes_through_streams_in_the_order_of_time() {
    let room = room().await;
    room.write("a", &[(1, "one ERROR"), (3, "three")]).await;
    room.write("b", &[(2, "two ERROR"), (3, "drei ERROR")]).await;
    let all = room.logs.search(&group(), search("")).await.unwrap();
    assert_eq!(texts(&all.events), ["one ERROR", "two ERROR", "three", "drei ERROR"]);
    assert_eq!(all.next, None);
    let mut asked = Search { limit: 2, ..search("ERROR") };
    let first = room.logs.search(&group(), asked.clone()).await.unwrap();
    assert_eq!(texts(&first.events), ["one ERROR", "two ERROR"]);
    asked.from = first.next;
    let second = room.logs.search(&group(), asked.clone()).await.unwrap();
    assert_eq!((texts(&second.events), second.next), (vec!["drei ERROR"], None));
    asked.from = None;
    asked.streams = Streams::Named(vec![stream("b")]);
    let named = room.logs.search(&group(), asked.clone()).await.unwrap();
    assert_eq!(texts(&named.events), ["two ERROR", "drei ERROR"]);
    asked.streams = Streams::All;
    asked.direction = Direction::Backward;
    let newest = room.logs.search(&group(), asked.clone()).await.unwrap();
    assert_eq!(texts(&newest.events), ["drei ERROR", "two ERROR"]);
    asked.streams = Streams::Named(vec![stream("c")]);
    let missing = room.logs.search(&group(), asked).await;
    assert!(matches!(missing, Err(LogError::NoSuchStream(_))));
}

#[tokio::test]
async fn a_long_search_that_finds_nothing_says_where_to_go_on() {
    let room = room().await;
    let lines: Vec<(i64, &str)> = (0..10_000).map(|at| (at, "nothing")).collect();
    for _ in 0..21 {
        room.write("s", &lines).await;
    }
    room.write("s", &[(20_000, "needle")]).await;
    let first = room.logs.search(&group(), search("needle")).await.unwrap();
    assert!(first.events.is_empty());
    let on = Search { from: first.next, ..search("needle") };
    let found = room.logs.search(&group(), on).await.unwrap();
    assert_eq!(texts(&found.events), ["needle"]);
}

#[tokio::test]
async fn a_follower_of_arrivals_misses_no_late_event() {
    let room = room().await;
    let mut newest = room.logs.subscribe();
    room.write("a", &[(5, "five")]).await;
    newest.changed().await.unwrap();
    let first = room.logs.arrivals(0, vec![group()], 10).await.unwrap();
    room.write("b", &[(1, "late")]).await;
    let second = room.logs.arrivals(first.last, vec![group()], 10).await.unwrap();
    let texts: Vec<_> =
        first.events.iter().chain(&second.events).map(|a| a.event.message.as_str()).collect();
    assert_eq!(texts, ["five", "late"]);
}

#[tokio::test]
async fn the_journal_hears_of_new_lines_once_for_many() {
    let room = room().await;
    let stop = CancellationToken::new();
    let mut heard = room.journal.journal().subscribe();
    for at in 0..10 {
        room.write("s", &[(at, "x")]).await;
    }
    let run = tokio::spawn(room.logs.clone().run(stop.clone()));
    heard.changed().await.unwrap();
    let events = room.journal.events_after(0, 10).await.unwrap();
    let expected = db::Event::LogsAppended { group: group(), stream: stream("s"), last: 10 };
    assert_eq!(events.iter().map(|e| &e.event).collect::<Vec<_>>(), [&expected]);
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn streams_are_listed_by_name_or_by_their_last_event() {
    let room = room().await;
    room.write("b", &[(9, "x")]).await;
    room.write("a", &[(3, "x")]).await;
    room.logs.create_stream(&group(), &stream("c")).await.unwrap();
    let names = async |order, direction| -> Vec<String> {
        let listed = room.logs.streams(&group(), order, (direction, 10)).await.unwrap();
        listed.into_iter().map(|stream| stream.name.to_string()).collect()
    };
    let by_name = || StreamOrder::Name { prefix: String::new(), after: String::new() };
    assert_eq!(names(by_name(), Direction::Forward).await, ["a", "b", "c"]);
    assert_eq!(names(by_name(), Direction::Backward).await, ["c", "b", "a"]);
    let newest = StreamOrder::LastEvent { after: None };
    assert_eq!(names(newest, Direction::Backward).await, ["b", "a", "c"]);
    let after = StreamOrder::LastEvent { after: Some((NOW_MS + 9, "b".to_owned())) };
    assert_eq!(names(after, Direction::Backward).await, ["a", "c"]);
}

#[tokio::test]
async fn a_deleted_stream_leaves_no_bytes() {
    let room = room().await;
    room.write("s", &[(0, "häh")]).await;
    assert_eq!(room.logs.group(&group()).await.unwrap().stored_bytes, 26 + 4);
    room.logs.delete_stream(&group(), &stream("s")).await.unwrap();
    assert_eq!(room.logs.group(&group()).await.unwrap().stored_bytes, 0);
    room.logs.delete_group(&group()).await.unwrap();
    assert!(matches!(room.logs.group(&group()).await, Err(LogError::NoSuchGroup(_))));
}

/// What a stream is to its readers: events by time, then by arrival.
#[derive(Default)]
struct Model(Vec<(i64, i64)>);

impl Model {
    fn append(&mut self, times: &[i64]) {
        for at in times {
            self.0.push((*at, i64::try_from(self.0.len()).unwrap() + 1));
        }
    }

    fn sorted(&self, first: i64, last: i64) -> Vec<(i64, i64)> {
        let mut events = self.0.clone();
        events.retain(|(at, _)| (first..=last).contains(at));
        events.sort_unstable();
        events
    }
}

async fn walk(logs: &Logs, span: Span, direction: Direction, limit: u32) -> Vec<(i64, i64)> {
    let mut walked = Vec::new();
    let mut from = None;
    loop {
        let ask = Ask { span, direction, from, limit };
        let page = logs.read(&group(), &stream("s"), ask).await.unwrap();
        let next = if direction == Direction::Forward { page.forward } else { page.backward };
        if page.events.is_empty() {
            assert!(from.is_none_or(|from| from == next), "the end's token stays the same");
            return walked;
        }
        let mut places: Vec<_> =
            page.events.iter().map(|e| (e.position.at_ms - NOW_MS, e.position.number)).collect();
        assert!(places.is_sorted() && places.len() <= limit as usize);
        if direction == Direction::Backward {
            places.extend(walked);
            walked = places;
        } else {
            walked.extend(places);
        }
        from = Some(next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_show_every_event_once_and_in_order(
        batches in prop::collection::vec(prop::collection::vec(0_i64..12, 1..9), 1..8),
        span in (0_i64..12, 0_i64..12),
        limit in 1_u32..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = room().await;
            let mut model = Model::default();
            for mut times in batches {
                times.sort_unstable();
                model.append(&times);
                let events: Vec<(i64, &str)> = times.iter().map(|at| (*at, "x")).collect();
                room.write("s", &events).await;
            }
            let expected = model.sorted(span.0, span.1);
            let span = Span { first_ms: NOW_MS + span.0, last_ms: NOW_MS + span.1 };
            for direction in [Direction::Forward, Direction::Backward] {
                prop_assert_eq!(&walk(&room.logs, span, direction, limit).await, &expected);
            }
            let mut asked = Search { span, limit, ..search("") };
            let mut found = Vec::new();
            loop {
                let page = room.logs.search(&group(), asked.clone()).await.unwrap();
                let places = page.events.iter().map(|e| (e.position.at_ms - NOW_MS, e.position.number));
                found.extend(places);
                match page.next {
                    Some(next) => asked.from = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(&found, &expected);
            Ok(())
        })?;
    }
}
