//! The autoscaler: as many Celery workers as the work asks for, between `MinWorkers` and `MaxWorkers`.
//!
//! The rule is MWAA's (facts: "Workers"): wanted = (queued + running tasks) / tasks per worker, rounded up, within the
//! bounds. More are started at once. Fewer are wanted for a while before any leaves, and then only such leave as have
//! nothing to do: a worker is retired from the queue in the same moment in which it is seen to hold nothing, so that no
//! task is given to one that is on its way out.
//!
//! It also tells the queue who its receivers are: what a dead worker held is released as soon as the worker is gone.
//!
//! Nothing here asks again and again. Changes of the queue, of the workers, of the bounds and of the launch wake it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Environment, Spec, Surroundings};
use crate::airflow::classes::class_of;
use crate::db::Event;
use crate::id::{EnvironmentName, LaunchId, QueueName, ReceiverName};
use crate::limits::{PERSIST_RETRY_SECONDS, WORKERS_IDLE_SECONDS};
use crate::queues::{Load, QueueError};
use crate::runtime::{Life, Worker};

/// What an environment's workers have to do, as `status` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Tasks that wait for a worker.
    pub queued: u64,
    /// Tasks that a worker has taken.
    pub running: u64,
}

/// How many workers there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rest,
    Grow(u32),
    /// Down to so many, of those that are idle.
    Shrink(u32),
    /// Nothing yet; look again then.
    Wait(Instant),
}

/// There are more workers than are wanted.
#[derive(Clone, Copy, Debug)]
struct Excess {
    since: Instant,
    /// The most that were wanted meanwhile.
    peak: u32,
}

/// Decides, and remembers only for how long there have been too many.
#[derive(Debug, Default)]
struct Planner {
    excess: Option<Excess>,
}

impl Planner {
    /// What to do, with `staying` workers and `wanted` of them, at `now`.
    fn plan(&mut self, now: Instant, wanted: u32, staying: u32) -> Step {
        if wanted >= staying {
            self.excess = None;
            return if wanted > staying { Step::Grow(wanted) } else { Step::Rest };
        }
        let excess = self.excess.get_or_insert(Excess { since: now, peak: wanted });
        excess.peak = excess.peak.max(wanted);
        let due = excess.since + Duration::from_secs(WORKERS_IDLE_SECONDS);
        if now < due {
            return Step::Wait(due);
        }
        if excess.peak < staying {
            return Step::Shrink(excess.peak);
        }
        // As many as there are were wanted meanwhile: the while begins anew.
        self.excess = None;
        self.plan(now, wanted, staying)
    }
}

/// Workers that the work asks for.
fn wanted(tasks: u64, slots: u32, (min, max): (u32, u32)) -> u32 {
    let workers = tasks.div_ceil(u64::from(slots.max(1)));
    u32::try_from(workers).unwrap_or(u32::MAX).clamp(min, max)
}

/// The bounds of an environment, with what its class allows.
fn bounds(spec: &Spec) -> (u32, u32) {
    class_of(&spec.class).workers((spec.min_workers, spec.max_workers))
}

/// Scales one environment until it is gone or windtunnel stops.
pub(super) struct Autoscaler {
    pub(super) around: Arc<Surroundings>,
    pub(super) name: EnvironmentName,
    pub(super) seen: watch::Receiver<Option<Environment>>,
    pub(super) work: watch::Sender<Work>,
    pub(super) stop: CancellationToken,
    /// What the runtime was asked for last, until that was so.
    pub(super) asked: Option<(LaunchId, u32)>,
}

/// What a step was decided on.
#[derive(Clone, Copy)]
struct Sight<'a> {
    launch: LaunchId,
    there: &'a [Worker],
    load: &'a Load,
}

/// What is to be done about this load, with these workers there.
fn step(planner: &mut Planner, load: &Load, (there, spec): (&[Worker], &Spec)) -> Step {
    let staying = || there.iter().filter(|worker| !worker.leaving);
    let leaving = there.iter().filter(|worker| worker.leaving);
    // They finish it themselves, in slots of their own.
    let theirs: u64 = leaving.filter_map(|worker| load.held.get(&worker.id)).sum();
    let tasks = (load.depth.visible + load.depth.in_flight).saturating_sub(theirs);
    let slots = staying().map(|worker| worker.slots).max();
    let slots = slots.unwrap_or(class_of(&spec.class).slots);
    let wanted = wanted(tasks, slots, bounds(spec));
    planner.plan(Instant::now(), wanted, u32::try_from(staying().count()).unwrap_or(u32::MAX))
}

impl Autoscaler {
    pub(super) async fn run(mut self) {
        let Some(queue) = self.queue().await else { return };
        let mut changes = self.around.queues.changes(&queue);
        let mut workers = self.around.runtime.workers(&self.name);
        let mut life = self.around.runtime.life(&self.name);
        let (mut planner, mut enrolled) = (Planner::default(), BTreeSet::new());
        loop {
            // Marked as seen before the look: what changes after it wakes us.
            changes.borrow_and_update();
            let there = workers.borrow_and_update().clone();
            let launch = match &*life.borrow_and_update() {
                Life::Running(launch) => Some(*launch),
                Life::Stopped | Life::Lost { .. } => None,
            };
            let spec = self.seen.borrow_and_update().as_ref().map(|seen| seen.spec.clone());
            let looked = self.look(&queue, &there, &mut enrolled).await;
            let again = match (looked, spec, launch) {
                (Ok(load), Some(spec), Some(launch)) => {
                    let step = step(&mut planner, &load, (&there, &spec));
                    let sight = Sight { launch, there: &there, load: &load };
                    self.take(&queue, step, sight).await
                }
                // A new environment's queue is made by its launch, before the workers.
                (Ok(_) | Err(QueueError::NoSuchQueue(_)), ..) => None,
                (Err(QueueError::Index(error)), ..) => Some(self.failed(&error)),
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                seen = self.seen.changed() => if seen.is_err() || self.seen.borrow().is_none() {
                    return;
                },
                Ok(()) = changes.changed() => {}
                Ok(()) = workers.changed() => {}
                Ok(()) = life.changed() => {}
                () = later(again) => {}
            }
        }
    }

    /// The environment's queue, once the environment is on disk.
    async fn queue(&mut self) -> Option<QueueName> {
        let seen = self.seen.wait_for(Option::is_some);
        let seen = tokio::select! {
            () = self.stop.cancelled() => return None,
            seen = seen => seen.ok()?,
        };
        QueueName::parse(seen.as_ref()?.queue.as_str()).ok()
    }

    /// Brings the queue's receivers in line with the workers that are there, and reads its load.
    async fn look(
        &self,
        queue: &QueueName,
        there: &[Worker],
        enrolled: &mut BTreeSet<ReceiverName>,
    ) -> Result<Load, QueueError> {
        let queues = &self.around.queues;
        let now: BTreeSet<ReceiverName> = there.iter().map(|worker| worker.id.clone()).collect();
        for gone in enrolled.difference(&now).cloned().collect::<Vec<_>>() {
            let released = queues.dismiss(queue, &gone).await?;
            enrolled.remove(&gone);
            if released > 0 {
                tracing::info!(worker = %gone, released, "what a worker held is there for others");
            }
        }
        for worker in there.iter().filter(|worker| !enrolled.contains(&worker.id)) {
            if !worker.leaving {
                queues.enrol(queue, &worker.id);
            }
        }
        for worker in there.iter().filter(|worker| worker.leaving) {
            queues.retire(queue, &worker.id);
        }
        enrolled.extend(now);
        let load = queues.load(queue).await?;
        let work = Work { queued: load.depth.visible, running: load.depth.in_flight };
        self.work.send_if_modified(|known| std::mem::replace(known, work) != work);
        Ok(load)
    }

    /// Takes the step; says when to look again where nothing else may wake us.
    async fn take(
        &mut self,
        queue: &QueueName,
        step: Step,
        Sight { launch, there, load }: Sight<'_>,
    ) -> Option<Instant> {
        let staying: Vec<&Worker> = there.iter().filter(|worker| !worker.leaving).collect();
        let from = u32::try_from(staying.len()).unwrap_or(u32::MAX);
        let (to, leaving) = match step {
            Step::Rest => {
                self.asked = None;
                return None;
            }
            Step::Wait(until) => return Some(until),
            Step::Grow(to) => (to, Vec::new()),
            Step::Shrink(to) => {
                let leaving = self.idle(queue, &staying, (from - to) as usize).await;
                if leaving.is_empty() {
                    // All of them are busy: the end of a task wakes us.
                    return None;
                }
                (from - u32::try_from(leaving.len()).unwrap_or(from), leaving)
            }
        };
        self.around.runtime.scale(&self.name, to, &leaving);
        // Until the workers are there, every task that is queued asks for them again.
        if self.asked.replace((launch, to)) == Some((launch, to)) {
            return None;
        }
        let (queued, running) = (load.depth.visible, load.depth.in_flight);
        tracing::info!(environment = %self.name, from, to, queued, running, "workers scaled");
        let environment = self.name.clone();
        let event = Event::WorkersScaled { environment, from, to, queued, running };
        let told = self.around.db.write(move |tx| {
            tx.announce(event);
            Ok::<_, rusqlite::Error>(())
        });
        // The workers are what they are; only the journal misses a line.
        told.await.err().map(|error| self.failed(&error))
    }

    /// Up to `count` workers with nothing to do, the newest first, which are given nothing from now on.
    async fn idle(&self, queue: &QueueName, of: &[&Worker], count: usize) -> Vec<ReceiverName> {
        let mut idle = Vec::new();
        for worker in of.iter().rev() {
            if idle.len() == count {
                break;
            }
            match self.around.queues.retire_idle(queue, &worker.id).await {
                Ok(true) => idle.push(worker.id.clone()),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(worker = %worker.id, %error, "cannot tell if it is idle");
                }
            }
        }
        idle
    }

    fn failed(&self, error: &rusqlite::Error) -> Instant {
        tracing::error!(environment = %self.name, %error, "cannot scale the workers; trying again");
        Instant::now() + Duration::from_secs(PERSIST_RETRY_SECONDS)
    }
}

async fn later(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDLE: Duration = Duration::from_secs(WORKERS_IDLE_SECONDS);

    #[test]
    fn a_worker_for_every_five_tasks_within_the_bounds() {
        let wanted = |tasks| wanted(tasks, 5, (1, 3));
        assert_eq!([0, 1, 5, 6, 10, 11, 30].map(wanted), [1, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn more_are_started_at_once_and_fewer_wait_a_while() {
        let (mut planner, t0) = (Planner::default(), Instant::now());
        assert_eq!(planner.plan(t0, 3, 1), Step::Grow(3));
        assert_eq!(planner.plan(t0, 3, 3), Step::Rest);
        assert_eq!(planner.plan(t0, 1, 3), Step::Wait(t0 + IDLE));
        assert_eq!(planner.plan(t0 + IDLE / 2, 1, 3), Step::Wait(t0 + IDLE));
        assert_eq!(planner.plan(t0 + IDLE, 1, 3), Step::Shrink(1));
        // Two are still busy; as soon as one is not, it leaves.
        assert_eq!(planner.plan(t0 + IDLE * 2, 1, 2), Step::Shrink(1));
        assert_eq!(planner.plan(t0 + IDLE * 2, 1, 1), Step::Rest);
    }

    #[test]
    fn as_many_stay_as_were_wanted_in_that_while() {
        let (mut planner, t0) = (Planner::default(), Instant::now());
        assert_eq!(planner.plan(t0, 1, 4), Step::Wait(t0 + IDLE));
        assert_eq!(planner.plan(t0 + IDLE / 2, 3, 4), Step::Wait(t0 + IDLE));
        assert_eq!(planner.plan(t0 + IDLE, 1, 4), Step::Shrink(3));
        // And then the while begins anew.
        let t1 = t0 + IDLE;
        assert_eq!(planner.plan(t1, 1, 3), Step::Wait(t1 + IDLE));
        // Work that wants them all ends it.
        assert_eq!(planner.plan(t1 + IDLE / 2, 3, 3), Step::Rest);
        assert_eq!(planner.plan(t1 + IDLE, 1, 3), Step::Wait(t1 + IDLE * 2));
    }

    proptest! {
        #[test]
        fn the_workers_stay_within_the_bounds_and_come_down_to_what_is_wanted(
            work in prop::collection::vec((0_u64..60, 0_u64..15), 1..40),
            bounds in (1_u32..4, 0_u32..5),
        ) {
            let bounds = (bounds.0, bounds.0 + bounds.1);
            let (mut planner, mut now, mut staying) = (Planner::default(), Instant::now(), bounds.0);
            for (tasks, seconds) in work {
                now += Duration::from_secs(seconds);
                let wanted = wanted(tasks, 5, bounds);
                match planner.plan(now, wanted, staying) {
                    Step::Grow(to) => {
                        prop_assert!(to > staying);
                        staying = to;
                    }
                    Step::Shrink(to) => {
                        prop_assert!(to < staying && to >= wanted);
                        staying = to;
                    }
                    Step::Wait(until) => prop_assert!(until > now && staying > wanted),
                    Step::Rest => prop_assert_eq!(staying, wanted),
                }
                prop_assert!((bounds.0..=bounds.1).contains(&staying));
                prop_assert!(staying >= wanted);
            }
            for _ in 0..3 {
                now += IDLE;
                if let Step::Shrink(to) = planner.plan(now, bounds.0, staying) {
                    staying = to;
                }
            }
            prop_assert_eq!(staying, bounds.0);
        }
    }
}
