//! The room through its verbs: a real database, a clock that is held.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::config::Durability;

struct Room {
    queues: Queues,
    clock: Clock,
    folder: tempfile::TempDir,
}

const NOW: Option<Duration> = Some(Duration::ZERO);
const LONG: Option<Duration> = Some(Duration::from_secs(10));

fn name(text: &str) -> QueueName {
    QueueName::parse(text).unwrap()
}

async fn open(folder: tempfile::TempDir, clock: Clock) -> Room {
    let path = folder.path().join("db");
    let db = Db::open(&path, Durability::Process, &[SCHEMA], clock.clone()).unwrap();
    Room { queues: Queues::open(db, clock.clone()).await.unwrap(), clock, folder }
}

/// A room with the queue `q` in it.
async fn room() -> Room {
    let clock = Clock::held(Timestamp::from_millis(1_000_000));
    let room = open(tempfile::tempdir().unwrap(), clock).await;
    room.queues.ensure(&name("q"), 30).await.unwrap();
    room
}

impl Room {
    async fn send(&self, queue: &str, body: &str) {
        let draft = Draft { body: body.to_owned(), ..Draft::default() };
        self.send_draft(queue, draft).await.unwrap();
    }

    async fn send_draft(&self, queue: &str, draft: Draft) -> Result<Sent, SendError> {
        self.queues.send(&name(queue), vec![draft]).await.unwrap().remove(0)
    }

    async fn receive(&self, queue: &str, max: u32) -> Vec<Message> {
        let ask = Ask { max, wait: NOW, visibility_seconds: None };
        self.queues.receive(&name(queue), ask).await.unwrap()
    }

    async fn bodies(&self, queue: &str, max: u32) -> Vec<String> {
        self.receive(queue, max).await.into_iter().map(|message| message.body).collect()
    }

    async fn delete(&self, queue: &str, receipt: &Receipt) {
        let results =
            self.queues.delete_messages(&name(queue), vec![receipt.to_string()]).await.unwrap();
        assert_eq!(results, [Ok(())]);
    }

    async fn hide(&self, receipt: &Receipt, seconds: u32) -> Result<(), VisibilityError> {
        let change = vec![(receipt.to_string(), seconds)];
        self.queues.change_visibility(&name("q"), change).await.unwrap().remove(0)
    }

    async fn depth(&self, queue: &str) -> (u64, u64, u64) {
        let depth = self.queues.depth(&name(queue)).await.unwrap();
        (depth.visible, depth.in_flight, depth.delayed)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_message_is_hidden_by_a_receive_and_comes_back_when_nobody_deletes_it() {
    let room = room().await;
    room.send("q", "one").await;
    let first = room.receive("q", 10).await.remove(0);
    assert_eq!((first.body.as_str(), first.receives), ("one", 1));
    assert_eq!(room.depth("q").await, (0, 1, 0));
    room.pass(29);
    assert!(room.receive("q", 10).await.is_empty());
    room.pass(1);
    let second = room.receive("q", 10).await.remove(0);
    assert_eq!(second.receives, 2);
    assert_eq!(second.first_received, first.first_received);
    assert_ne!(second.receipt, first.receipt);
    room.delete("q", &first.receipt).await;
    assert_eq!(room.depth("q").await, (0, 1, 0), "a superseded receipt deletes nothing");
    room.delete("q", &second.receipt).await;
    room.delete("q", &second.receipt).await;
    assert_eq!(room.depth("q").await, (0, 0, 0));
}

#[tokio::test]
async fn messages_survive_the_end_of_the_process_and_can_be_released() {
    let room = room().await;
    room.send("q", "one").await;
    room.send("q", "two").await;
    assert_eq!(room.bodies("q", 1).await, ["one"]);
    let Room { queues, clock, folder } = room;
    drop(queues);
    let room = open(folder, clock).await;
    assert_eq!(room.depth("q").await, (1, 1, 0));
    assert_eq!(room.queues.release_in_flight(&name("q")).await.unwrap(), 1);
    assert_eq!(room.bodies("q", 10).await, ["one", "two"]);
}

#[tokio::test]
async fn delays_hide_and_old_messages_go() {
    let room = room().await;
    let draft = Draft { body: "late".to_owned(), delay_seconds: Some(5), ..Draft::default() };
    room.send_draft("q", draft).await.unwrap();
    assert_eq!(room.depth("q").await, (0, 0, 1));
    assert!(room.receive("q", 1).await.is_empty());
    room.pass(5);
    assert_eq!(room.bodies("q", 1).await, ["late"]);
    room.pass(345_600);
    assert_eq!(room.depth("q").await, (0, 0, 0));
    assert!(room.receive("q", 1).await.is_empty());
}

#[tokio::test]
async fn visibility_changes_from_now_and_not_beyond_twelve_hours() {
    let room = room().await;
    room.send("q", "one").await;
    let receipt = room.receive("q", 1).await.remove(0).receipt;
    assert_eq!(room.hide(&receipt, 600).await, Ok(()));
    room.pass(599);
    assert!(room.receive("q", 1).await.is_empty());
    assert_eq!(room.hide(&receipt, 43_200).await, Err(VisibilityError::TooLong));
    assert_eq!(room.hide(&receipt, 0).await, Ok(()));
    assert_eq!(room.hide(&receipt, 10).await, Err(VisibilityError::NotInFlight));
    let again = room.receive("q", 1).await.remove(0).receipt;
    room.delete("q", &again).await;
    assert_eq!(room.hide(&again, 10).await, Err(VisibilityError::Deleted));
}

#[tokio::test]
async fn a_long_wait_ends_with_a_send() {
    let room = room().await;
    let (queue, ask) = (name("q"), Ask { max: 1, wait: LONG, visibility_seconds: None });
    let waiting = room.queues.receive(&queue, ask);
    let sending = async {
        tokio::task::yield_now().await;
        room.send("q", "one").await;
    };
    let (received, ()) =
        timeout(Duration::from_secs(5), async { tokio::join!(waiting, sending) }).await.unwrap();
    assert_eq!(received.unwrap().remove(0).body, "one");
}

#[tokio::test]
async fn a_long_wait_ends_when_a_message_comes_into_sight() {
    let folder = tempfile::tempdir().unwrap();
    let room = open(folder, Clock::system()).await;
    room.queues.ensure(&name("q"), 30).await.unwrap();
    let draft = Draft { body: "late".to_owned(), delay_seconds: Some(1), ..Draft::default() };
    room.send_draft("q", draft).await.unwrap();
    let began = Instant::now();
    let ask = Ask { max: 1, wait: LONG, visibility_seconds: None };
    let received = room.queues.receive(&name("q"), ask).await.unwrap();
    assert_eq!(received[0].body, "late");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_empty_wait_ends_in_time_and_a_closed_room_does_not_wait() {
    let room = room().await;
    let wait = Duration::from_millis(30);
    let ask = Ask { max: 1, wait: Some(wait), visibility_seconds: None };
    let began = Instant::now();
    assert!(room.queues.receive(&name("q"), ask).await.unwrap().is_empty());
    assert!(began.elapsed() >= wait);
    let ask = Ask { wait: LONG, ..ask };
    let queue = name("q");
    let closing = async {
        tokio::task::yield_now().await;
        room.queues.close();
    };
    let both = async { tokio::join!(room.queues.receive(&queue, ask), closing) };
    let (received, ()) = timeout(Duration::from_secs(5), both).await.unwrap();
    assert!(received.unwrap().is_empty());
}

/// Drops a receive after every number of polls that it can live through.
#[tokio::test]
async fn a_receive_that_is_dropped_at_any_moment_loses_no_message() {
    let room = room().await;
    let (queue, ask) = (name("q"), Ask { max: 1, wait: LONG, visibility_seconds: None });
    for polls in 0..4 {
        room.send("q", "one").await;
        let mut receiving = Box::pin(room.queues.receive(&queue, ask));
        let mut answered = None;
        for _ in 0..polls {
            answered = futures::poll!(&mut receiving).is_ready().then_some(());
            if answered.is_some() {
                break;
            }
            // Another verb's answer: the writer has done everything before it.
            room.queues.purge(&name("other")).await.unwrap_err();
        }
        drop(receiving);
        let message = room.receive("q", 10).await;
        if answered.is_none() {
            assert_eq!(message.len(), 1, "dropped after {polls} polls");
            assert_eq!(message[0].receives, 1, "dropped after {polls} polls");
        }
        room.queues.purge(&queue).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_received_too_often_goes_to_the_dead_letter_queue() {
    let room = room().await;
    room.queues.ensure(&name("dead"), 30).await.unwrap();
    let redrive = Redrive { target: name("dead"), max_receives: 2 };
    room.queues.configure(&name("q"), vec![Change::Redrive(Some(redrive))]).await.unwrap();
    room.send("q", "poison").await;
    for _ in 0..2 {
        assert_eq!(room.bodies("q", 1).await, ["poison"]);
        room.pass(30);
    }
    assert!(room.receive("q", 1).await.is_empty());
    let dead = room.receive("dead", 1).await.remove(0);
    assert_eq!((dead.body.as_str(), dead.receives), ("poison", 3));
    assert_eq!(dead.dead_letter_source, Some(name("q")));
    let sources = room.queues.dead_letter_sources(&name("dead")).await.unwrap();
    assert_eq!(sources, [name("q")]);
}

#[tokio::test]
async fn a_fifo_queue_keeps_groups_in_order_and_drops_duplicates() {
    let room = room().await;
    let changes = vec![Change::DeduplicatesByContent(true)];
    room.queues.create(&name("q.fifo"), changes, BTreeMap::new()).await.unwrap();
    let draft = |body: &str, group: &str| Draft {
        body: body.to_owned(),
        group: Some(group.to_owned()),
        ..Draft::default()
    };
    let first = room.send_draft("q.fifo", draft("1", "a")).await.unwrap();
    assert_eq!(room.send_draft("q.fifo", draft("1", "a")).await.unwrap(), first);
    room.send_draft("q.fifo", draft("2", "a")).await.unwrap();
    room.send_draft("q.fifo", draft("3", "b")).await.unwrap();
    let nobody = Draft { group: None, ..draft("4", "") };
    assert_eq!(room.send_draft("q.fifo", nobody).await, Err(SendError::NoGroup));
    let one = room.receive("q.fifo", 1).await.remove(0);
    assert_eq!(one.body, "1");
    assert_eq!(room.bodies("q.fifo", 10).await, ["3"], "group a waits for its first message");
    room.delete("q.fifo", &one.receipt).await;
    assert_eq!(room.bodies("q.fifo", 10).await, ["2"]);
    room.pass(301);
    assert_ne!(room.send_draft("q.fifo", draft("1", "a")).await.unwrap(), first);
}

#[tokio::test]
async fn creating_again_succeeds_with_the_same_values_only() {
    let room = room().await;
    let queue = name("q");
    let create = |changes| room.queues.create(&queue, changes, BTreeMap::new());
    create(vec![]).await.unwrap();
    create(vec![Change::VisibilitySeconds(30)]).await.unwrap();
    let error = create(vec![Change::DelaySeconds(0), Change::VisibilitySeconds(31)]).await;
    let Err(CreateError::Differs { change, .. }) = error else { panic!("{error:?}") };
    assert_eq!(change, Change::VisibilitySeconds(31));
    room.queues.ensure(&name("q"), 43_200).await.unwrap();
    let settings = room.queues.describe(&name("q")).await.unwrap().settings;
    assert_eq!(settings.visibility_seconds, 43_200);
    room.queues.remove(&name("q")).await.unwrap();
    room.queues.remove(&name("q")).await.unwrap();
    assert!(matches!(room.queues.depth(&name("q")).await, Err(QueueError::NoSuchQueue(_))));
}

/// What a person may do to a queue.
#[derive(Clone, Debug)]
enum Step {
    Send { delay: u32 },
    Receive { max: u32 },
    Delete { which: usize },
    Hide { which: usize, seconds: u32 },
    Pass { seconds: u64 },
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..3).prop_map(|delay| Step::Send { delay: delay * 10 }),
        4 => (1u32..4).prop_map(|max| Step::Receive { max }),
        2 => (0usize..8).prop_map(|which| Step::Delete { which }),
        2 => (0usize..8, 0u32..60).prop_map(|(which, seconds)| Step::Hide { which, seconds }),
        3 => (1u64..40).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Purge),
    ]
}

/// A queue as one would explain it: messages with the moment from which they are visible.
#[derive(Debug, Default)]
struct Model {
    now: i64,
    sent: u32,
    messages: Vec<Kept>,
    /// Every receipt that was ever given, with the body it was for.
    receipts: Vec<(Receipt, String)>,
}

#[derive(Debug)]
struct Kept {
    body: String,
    visible: i64,
    held: bool,
    receipt: Option<Receipt>,
}

impl Model {
    fn depth(&self) -> (u64, u64, u64) {
        let count = |test: &dyn Fn(&&Kept) -> bool| {
            self.messages.iter().filter(|kept| test(kept)).count() as u64
        };
        (
            count(&|kept| kept.visible <= self.now),
            count(&|kept| kept.visible > self.now && kept.held),
            count(&|kept| kept.visible > self.now && !kept.held),
        )
    }

    fn current(&mut self, which: usize) -> Option<(Receipt, Option<usize>)> {
        let (receipt, body) = self.receipts.get(which)?.clone();
        let place = self
            .messages
            .iter()
            .position(|kept| kept.body == body && kept.receipt.as_ref() == Some(&receipt));
        Some((receipt, place))
    }

    async fn follow(&mut self, room: &Room, step: Step) {
        match step {
            Step::Send { delay } => {
                self.sent += 1;
                let body = format!("message {}", self.sent);
                let delay_seconds = Some(delay);
                let draft = Draft { body: body.clone(), delay_seconds, ..Draft::default() };
                room.send_draft("q", draft).await.unwrap();
                let visible = self.now + i64::from(delay);
                self.messages.push(Kept { body, visible, held: false, receipt: None });
            }
            Step::Receive { max } => {
                let received = room.receive("q", max).await;
                let now = self.now;
                let expected = self.messages.iter_mut().filter(|kept| kept.visible <= now);
                let mut expected = expected.take(max as usize);
                for message in received {
                    let kept = expected.next().expect("no more than expected is handed out");
                    assert_eq!(kept.body, message.body);
                    (kept.visible, kept.held) = (now + 30, true);
                    kept.receipt = Some(message.receipt.clone());
                    self.receipts.push((message.receipt, message.body));
                }
                assert!(expected.next().is_none(), "everything expected is handed out");
            }
            Step::Delete { which } => {
                let Some((receipt, place)) = self.current(which) else { return };
                room.delete("q", &receipt).await;
                if let Some(place) = place {
                    self.messages.remove(place);
                }
            }
            Step::Hide { which, seconds } => {
                let Some((receipt, place)) = self.current(which) else { return };
                let result = room.hide(&receipt, seconds).await;
                let in_flight = place.filter(|place| {
                    let kept = &self.messages[*place];
                    kept.held && kept.visible > self.now
                });
                assert_eq!(result.is_ok(), in_flight.is_some());
                if let Some(place) = in_flight {
                    self.messages[place].visible = self.now + i64::from(seconds);
                    self.messages[place].held = seconds > 0;
                }
            }
            Step::Pass { seconds } => {
                room.pass(seconds);
                self.now += seconds.cast_signed();
            }
            Step::Purge => {
                room.queues.purge(&name("q")).await.unwrap();
                self.messages.clear();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_queue_behaves_as_one_would_explain_it(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = room().await;
            let mut model = Model::default();
            for step in steps {
                model.follow(&room, step).await;
                assert_eq!(room.depth("q").await, model.depth());
            }
        });
    }
}

fn receiver(text: &str) -> ReceiverName {
    ReceiverName::parse(text).unwrap()
}

impl Room {
    async fn bodies_as(&self, who: &str, max: u32) -> Vec<String> {
        let ask = Ask { max, wait: NOW, visibility_seconds: None };
        let received = self.queues.receive_as(&name("q"), Some(&receiver(who)), ask).await;
        received.unwrap().into_iter().map(|message| message.body).collect()
    }
}

#[tokio::test]
async fn a_receiver_with_a_name_is_served_while_it_is_enrolled() {
    let room = room().await;
    room.send("q", "one").await;
    assert!(room.bodies_as("w1", 1).await.is_empty(), "not before it is enrolled");
    room.queues.enrol(&name("q"), &receiver("w1"));
    assert_eq!(room.bodies_as("w1", 1).await, ["one"]);
    room.send("q", "two").await;
    room.queues.retire(&name("q"), &receiver("w1"));
    assert!(room.bodies_as("w1", 1).await.is_empty(), "nor after it was retired");
    assert_eq!(room.bodies("q", 1).await, ["two"], "who has no name is always served");
}

#[tokio::test]
async fn only_a_receiver_that_holds_nothing_is_retired_as_idle() {
    let room = room().await;
    let (q, w1) = (name("q"), receiver("w1"));
    room.queues.enrol(&q, &w1);
    room.send("q", "one").await;
    let ask = Ask { max: 1, wait: NOW, visibility_seconds: None };
    let held = room.queues.receive_as(&q, Some(&w1), ask).await.unwrap().remove(0);
    assert_eq!(room.queues.load(&q).await.unwrap().held, BTreeMap::from([(w1.clone(), 1)]));
    assert!(!room.queues.retire_idle(&q, &w1).await.unwrap());
    room.send("q", "two").await;
    room.delete("q", &held.receipt).await;
    assert!(room.queues.retire_idle(&q, &w1).await.unwrap());
    assert!(room.bodies_as("w1", 1).await.is_empty());
    assert_eq!(room.depth("q").await, (1, 0, 0));
}

#[tokio::test]
async fn what_a_dead_receiver_held_comes_back_and_what_others_hold_does_not() {
    let room = room().await;
    let q = name("q");
    for who in ["w1", "w2"] {
        room.queues.enrol(&q, &receiver(who));
    }
    room.send("q", "one").await;
    room.send("q", "two").await;
    assert_eq!(room.bodies_as("w1", 1).await, ["one"]);
    assert_eq!(room.bodies_as("w2", 1).await, ["two"]);
    assert_eq!(room.queues.dismiss(&q, &receiver("w1")).await.unwrap(), 1);
    assert_eq!(room.depth("q").await, (1, 1, 0));
    assert_eq!(room.bodies_as("w2", 10).await, ["one"]);
    assert_eq!(room.queues.dismiss(&q, &receiver("w1")).await.unwrap(), 0);
}

#[tokio::test]
async fn a_receiver_that_waits_is_served_as_soon_as_it_is_enrolled() {
    let room = room().await;
    room.send("q", "one").await;
    let ask = Ask { max: 1, wait: LONG, visibility_seconds: None };
    let (q, w1) = (name("q"), receiver("w1"));
    let enrolled = async {
        tokio::task::yield_now().await;
        room.queues.enrol(&q, &w1);
    };
    let (received, ()) = tokio::join!(room.queues.receive_as(&q, Some(&w1), ask), enrolled);
    assert_eq!(received.unwrap().len(), 1);
}

#[tokio::test]
async fn whatever_changes_the_load_of_a_queue_is_heard() {
    let room = room().await;
    let mut changes = room.queues.changes(&name("q"));
    let mut heard = || {
        let heard = changes.has_changed().unwrap();
        changes.mark_unchanged();
        heard
    };
    room.send("q", "one").await;
    assert!(heard(), "a send");
    let message = room.receive("q", 1).await.remove(0);
    assert!(heard(), "a receive");
    room.receive("q", 1).await;
    assert!(!heard(), "not a receive of nothing");
    room.hide(&message.receipt, 0).await.unwrap();
    assert!(heard(), "a message that is handed back");
    let message = room.receive("q", 1).await.remove(0);
    room.delete("q", &message.receipt).await;
    assert!(heard(), "a deletion");
}
