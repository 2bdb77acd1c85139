//! The life of an environment as a pure function: what is asked and what is seen, in; the next phase and the work to
//! start, out.
//!
//! Requests may be refused; facts may not. A fact names the launch it is about, so yesterday's news cannot finish
//! today's update. Nothing here waits, writes or asks the time.

use std::collections::BTreeMap;

use super::change::{self, Change};
use super::{LastUpdate, Spec, Status, UpdateStatus};
use crate::clock::Timestamp;
use crate::id::LaunchId;
use crate::runtime::Replacement;

/// Where an environment is in its life, with exactly what exists there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Creating,
    /// windtunnel ended while the environment was being created.
    CreationInterrupted,
    CreateFailed,
    /// What runs is the launch `live`.
    Available {
        live: LaunchId,
    },
    /// Being launched: with another description, or (`None`) as it was.
    Updating {
        next: Option<Box<Spec>>,
    },
    /// An update to `next`, another Airflow version, while the database is copied aside.
    Snapshotting {
        next: Box<Spec>,
    },
    /// What runs, the launch `live`, goes on under another description: more or fewer workers.
    Adjusting {
        live: LaunchId,
        next: Box<Spec>,
    },
    /// An update failed. The description before it is being launched, or what runs under it (`live`) gets its DAGs back.
    RollingBack {
        live: Option<LaunchId>,
    },
    /// The description before a failed update runs: the launch `live`.
    UpdateFailed {
        live: LaunchId,
    },
    /// Nothing runs: it was lost, or windtunnel was stopped (in the middle of an update to `next`).
    Unavailable {
        next: Option<Box<Spec>>,
    },
    Deleting,
    Deleted,
}

/// All that changes about an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// The description that runs, or would.
    pub(super) spec: Spec,
    pub(super) phase: Phase,
    /// The newest launch. Ids are never used twice.
    pub(super) launch: LaunchId,
    pub(super) created: Timestamp,
    pub(super) last_update: LastUpdate,
    /// Whether an update has replaced all workers by force: a graceful one is refused before that.
    pub(super) forced_once: bool,
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Be running, with this description where one is given.
    Resume(Option<Box<Spec>>),
    /// Be changed, and replace busy workers so.
    Update(Box<Change>, Replacement),
    Delete,
    /// Have these tags and no others.
    Retag(BTreeMap<String, String>),
}

/// What has turned out to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Launched(LaunchId),
    /// A launch failed; `still` runs, where it was meant to replace something that could be kept.
    LaunchFailed {
        launch: LaunchId,
        fault: Fault,
        still: Option<LaunchId>,
    },
    /// A launch has begun to copy the database aside, or has done it.
    Snapshotting(LaunchId),
    Snapshotted(LaunchId),
    /// What runs has what the new description asks for.
    Adjusted(LaunchId),
    /// What runs has its own DAGs again after an update that failed; or not, for a reason.
    Returned(LaunchId, Option<Fault>),
    /// The components ran and cannot be brought back.
    Lost(LaunchId, String),
    /// Nothing of the environment is left.
    Removed,
    RemovalFailed(Fault),
}

/// A failure as `LastUpdate.Error` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Work to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Launch {
        launch: LaunchId,
        spec: Box<Spec>,
        replacement: Replacement,
    },
    /// Give the launch that runs what `spec` asks for in numbers.
    Adjust {
        live: LaunchId,
        spec: Box<Spec>,
    },
    /// Give the launch that goes on running the DAGs of `spec`.
    Return {
        live: LaunchId,
        spec: Box<Spec>,
    },
    Remove,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It makes no sense in this phase.
    Now { verb: &'static str, status: Status },
    /// AWS: a graceful replacement needs an earlier forced one (user guide, worker replacement).
    NeverForced,
}

pub(super) type Step = (Life, Option<Effect>);

impl Phase {
    /// What MWAA calls it. An interrupted creation is still a creation; what is down for another reason is
    /// `UNAVAILABLE`.
    pub(super) fn status(&self) -> Status {
        match self {
            Phase::Creating | Phase::CreationInterrupted => Status::Creating,
            Phase::CreateFailed => Status::CreateFailed,
            Phase::Available { .. } => Status::Available,
            Phase::Updating { .. } | Phase::Adjusting { .. } => Status::Updating,
            Phase::Snapshotting { .. } => Status::CreatingSnapshot,
            Phase::RollingBack { .. } => Status::RollingBack,
            Phase::UpdateFailed { .. } => Status::UpdateFailed,
            Phase::Unavailable { .. } => Status::Unavailable,
            Phase::Deleting => Status::Deleting,
            Phase::Deleted => Status::Deleted,
        }
    }
}

impl Life {
    /// A new environment, and the launch that creates it.
    pub(super) fn begin(spec: Spec, now: Timestamp) -> Step {
        let unborn = Life {
            spec,
            phase: Phase::Creating,
            launch: LaunchId(0),
            created: now,
            last_update: pending(now, Replacement::Forced),
            forced_once: false,
        };
        unborn.launching(Phase::Creating, now)
    }

    /// This life as a new start of windtunnel finds it: nothing runs yet. A deletion goes on by itself; everything
    /// else waits for a request.
    pub(super) fn reopened(mut self) -> Step {
        self.phase = match self.phase {
            Phase::Creating | Phase::CreationInterrupted => Phase::CreationInterrupted,
            Phase::Available { .. } | Phase::UpdateFailed { .. } | Phase::RollingBack { .. } => {
                Phase::Unavailable { next: None }
            }
            Phase::Updating { next } | Phase::Unavailable { next } => Phase::Unavailable { next },
            Phase::Snapshotting { next } | Phase::Adjusting { next, .. } => {
                Phase::Unavailable { next: Some(next) }
            }
            Phase::CreateFailed => Phase::CreateFailed,
            Phase::Deleting => {
                // Tried again, if it had failed: somebody who asks now must not start it a second time.
                let last_update =
                    LastUpdate { status: UpdateStatus::Pending, error: None, ..self.last_update };
                let life = Life { phase: Phase::Deleting, last_update, ..self };
                return (life, Some(Effect::Remove));
            }
            Phase::Deleted => Phase::Deleted,
        };
        (self, None)
    }

    /// Answers a request: the next life and the work to start, or why not.
    pub(super) fn request(&self, request: Request, now: Timestamp) -> Result<Step, Refused> {
        match request {
            Request::Resume(spec) => self.resume(spec, now),
            Request::Update(change, replacement) => self.update(&change, replacement, now),
            Request::Delete => self.delete(now),
            Request::Retag(tags) => self.retag(tags),
        }
    }

    fn resume(&self, wanted: Option<Box<Spec>>, now: Timestamp) -> Result<Step, Refused> {
        let different = |spec: Option<Box<Spec>>| spec.filter(|spec| **spec != self.spec);
        match &self.phase {
            Phase::CreationInterrupted | Phase::CreateFailed => {
                let spec = wanted.map_or_else(|| self.spec.clone(), |spec| *spec);
                Ok(Life { spec, ..self.clone() }.launching(Phase::Creating, now))
            }
            Phase::Unavailable { next } => {
                let next = different(wanted.or_else(|| next.clone()));
                Ok(self.clone().launching(Phase::Updating { next }, now))
            }
            Phase::Available { .. } | Phase::UpdateFailed { .. } => match different(wanted) {
                None => Ok((self.clone(), None)),
                next => Ok(self.clone().launching(Phase::Updating { next }, now)),
            },
            Phase::Creating
            | Phase::Updating { .. }
            | Phase::Snapshotting { .. }
            | Phase::Adjusting { .. }
            | Phase::RollingBack { .. }
            | Phase::Deleting
            | Phase::Deleted => Err(self.refused("started")),
        }
    }

    fn update(&self, change: &Change, with: Replacement, now: Timestamp) -> Result<Step, Refused> {
        let (Phase::Available { live } | Phase::UpdateFailed { live }) = self.phase else {
            return Err(self.refused("updated"));
        };
        if with == Replacement::Graceful && !self.forced_once {
            return Err(Refused::NeverForced);
        }
        let next = Box::new(change.applied(&self.spec));
        if change::keeps_what_runs(&self.spec, &next) {
            let effect = Effect::Adjust { live, spec: next.clone() };
            let phase = Phase::Adjusting { live, next };
            let last_update = pending(now, with);
            return Ok((Life { phase, last_update, ..self.clone() }, Some(effect)));
        }
        Ok(self.clone().replacing(Phase::Updating { next: Some(next) }, with, now))
    }

    fn delete(&self, now: Timestamp) -> Result<Step, Refused> {
        match &self.phase {
            Phase::CreationInterrupted
            | Phase::CreateFailed
            | Phase::Available { .. }
            | Phase::UpdateFailed { .. }
            | Phase::Unavailable { .. } => {
                let last_update = pending(now, Replacement::Forced);
                let life = Life { phase: Phase::Deleting, last_update, ..self.clone() };
                Ok((life, Some(Effect::Remove)))
            }
            // Deleting is idempotent; a deletion that failed is tried again.
            Phase::Deleting if self.last_update.status == UpdateStatus::Failed => {
                let last_update = pending(now, Replacement::Forced);
                let life = Life { last_update, ..self.clone() };
                Ok((life, Some(Effect::Remove)))
            }
            Phase::Deleting | Phase::Deleted => Ok((self.clone(), None)),
            Phase::Creating
            | Phase::Updating { .. }
            | Phase::Snapshotting { .. }
            | Phase::Adjusting { .. }
            | Phase::RollingBack { .. } => Err(self.refused("deleted")),
        }
    }

    fn retag(&self, tags: BTreeMap<String, String>) -> Result<Step, Refused> {
        let mut life = self.clone();
        match &mut life.phase {
            Phase::Deleting | Phase::Deleted => return Err(self.refused("tagged")),
            Phase::Updating { next: Some(next) }
            | Phase::Snapshotting { next }
            | Phase::Adjusting { next, .. }
            | Phase::Unavailable { next: Some(next) } => next.tags.clone_from(&tags),
            Phase::Creating
            | Phase::CreationInterrupted
            | Phase::CreateFailed
            | Phase::Available { .. }
            | Phase::Updating { next: None }
            | Phase::RollingBack { .. }
            | Phase::UpdateFailed { .. }
            | Phase::Unavailable { next: None } => {}
        }
        life.spec.tags = tags;
        Ok((life, None))
    }

    /// Takes a fact in. One about another launch, or that nobody waits for, changes nothing.
    pub(super) fn observe(&self, fact: Fact, now: Timestamp) -> Step {
        let unchanged = || (self.clone(), None);
        let into = |phase| (Life { phase, ..self.clone() }, None);
        match (fact, &self.phase) {
            (Fact::Launched(launch), _) if launch == self.launch => (self.launched(now), None),
            (Fact::LaunchFailed { launch, fault, still }, _) if launch == self.launch => {
                self.launch_failed(fault, still, now)
            }
            (Fact::Snapshotting(launch), Phase::Updating { next: Some(next) })
                if launch == self.launch =>
            {
                into(Phase::Snapshotting { next: next.clone() })
            }
            (Fact::Snapshotted(launch), Phase::Snapshotting { next }) if launch == self.launch => {
                into(Phase::Updating { next: Some(next.clone()) })
            }
            (Fact::Adjusted(launch), Phase::Adjusting { live, next }) if launch == *live => {
                let phase = Phase::Available { live: *live };
                let last_update = self.succeeded(now);
                (Life { spec: (**next).clone(), phase, last_update, ..self.clone() }, None)
            }
            (Fact::Returned(launch, fault), Phase::RollingBack { live: Some(live) })
                if launch == *live =>
            {
                let phase = Phase::UpdateFailed { live: *live };
                let last_update = match fault {
                    Some(fault) => self.failed_twice(&fault, now),
                    None => self.last_update.clone(),
                };
                (Life { phase, last_update, ..self.clone() }, None)
            }
            (Fact::Lost(launch, why), _) => (self.lost(launch, why, now), None),
            (Fact::Removed, Phase::Deleting) => into(Phase::Deleted),
            (Fact::RemovalFailed(fault), Phase::Deleting) => {
                (Life { last_update: self.failed(fault, now), ..self.clone() }, None)
            }
            (
                Fact::Launched(_)
                | Fact::LaunchFailed { .. }
                | Fact::Snapshotting(_)
                | Fact::Snapshotted(_)
                | Fact::Adjusted(_)
                | Fact::Returned(..)
                | Fact::Removed
                | Fact::RemovalFailed(_),
                _,
            ) => unchanged(),
        }
    }

    fn launched(&self, now: Timestamp) -> Life {
        let mut life = self.clone();
        life.phase = match life.phase {
            Phase::Creating | Phase::Updating { next: None } => {
                life.last_update = self.succeeded(now);
                Phase::Available { live: life.launch }
            }
            Phase::Updating { next: Some(next) } | Phase::Snapshotting { next } => {
                life.last_update = self.succeeded(now);
                life.forced_once |= life.last_update.replacement == Replacement::Forced;
                life.spec = *next;
                Phase::Available { live: life.launch }
            }
            // The environment is well; LastUpdate goes on saying why the update failed.
            Phase::RollingBack { live: None } => Phase::UpdateFailed { live: life.launch },
            phase @ (Phase::CreationInterrupted
            | Phase::CreateFailed
            | Phase::Available { .. }
            | Phase::Adjusting { .. }
            | Phase::RollingBack { live: Some(_) }
            | Phase::UpdateFailed { .. }
            | Phase::Unavailable { .. }
            | Phase::Deleting
            | Phase::Deleted) => phase,
        };
        life
    }

    fn launch_failed(&self, fault: Fault, still: Option<LaunchId>, now: Timestamp) -> Step {
        let with = |phase, last_update| (Life { phase, last_update, ..self.clone() }, None);
        match (&self.phase, still) {
            (Phase::Creating, _) => with(Phase::CreateFailed, self.failed(fault, now)),
            (Phase::Updating { .. } | Phase::Snapshotting { .. }, Some(live)) => {
                let back = with(Phase::RollingBack { live: Some(live) }, self.failed(fault, now)).0;
                let effect = Effect::Return { live, spec: Box::new(self.spec.clone()) };
                (back, Some(effect))
            }
            (Phase::Updating { next: None }, None) => {
                with(Phase::Unavailable { next: None }, self.failed(fault, now))
            }
            (Phase::Updating { next: Some(_) } | Phase::Snapshotting { .. }, None) => {
                let back = Phase::RollingBack { live: None };
                let (life, effect) = self.clone().launching(back, now);
                (Life { last_update: self.failed(fault, now), ..life }, effect)
            }
            (Phase::RollingBack { live: None }, _) => {
                with(Phase::Unavailable { next: None }, self.failed_twice(&fault, now))
            }
            (
                Phase::CreationInterrupted
                | Phase::CreateFailed
                | Phase::Available { .. }
                | Phase::Adjusting { .. }
                | Phase::RollingBack { live: Some(_) }
                | Phase::UpdateFailed { .. }
                | Phase::Unavailable { .. }
                | Phase::Deleting
                | Phase::Deleted,
                _,
            ) => (self.clone(), None),
        }
    }

    fn lost(&self, launch: LaunchId, why: String, now: Timestamp) -> Life {
        match &self.phase {
            Phase::Available { live } | Phase::UpdateFailed { live } if *live == launch => {
                let fault = Fault { code: "COMPONENTS_LOST", message: why };
                let phase = Phase::Unavailable { next: None };
                Life { phase, last_update: self.failed(fault, now), ..self.clone() }
            }
            // Another launch's loss is old news, and a piece of work that is under way tells its own end.
            Phase::Available { .. }
            | Phase::UpdateFailed { .. }
            | Phase::Creating
            | Phase::CreationInterrupted
            | Phase::CreateFailed
            | Phase::Updating { .. }
            | Phase::Snapshotting { .. }
            | Phase::Adjusting { .. }
            | Phase::RollingBack { .. }
            | Phase::Unavailable { .. }
            | Phase::Deleting
            | Phase::Deleted => self.clone(),
        }
    }

    /// Into `phase` with a launch of its own.
    fn launching(self, phase: Phase, now: Timestamp) -> Step {
        self.replacing(phase, Replacement::Forced, now)
    }

    fn replacing(mut self, phase: Phase, replacement: Replacement, now: Timestamp) -> Step {
        self.launch = LaunchId(self.launch.0 + 1);
        self.last_update = pending(now, replacement);
        let spec = if let Phase::Updating { next: Some(next) } = &phase {
            next.clone()
        } else {
            Box::new(self.spec.clone())
        };
        self.phase = phase;
        let launch = self.launch;
        (self, Some(Effect::Launch { launch, spec, replacement }))
    }

    fn refused(&self, verb: &'static str) -> Refused {
        Refused::Now { verb, status: self.phase.status() }
    }

    fn succeeded(&self, at: Timestamp) -> LastUpdate {
        let replacement = self.last_update.replacement;
        LastUpdate { status: UpdateStatus::Success, at, error: None, replacement }
    }

    fn failed(&self, fault: Fault, at: Timestamp) -> LastUpdate {
        let error = Some((fault.code.to_owned(), fault.message));
        let replacement = self.last_update.replacement;
        LastUpdate { status: UpdateStatus::Failed, at, error, replacement }
    }

    /// The update failed, and then the way back.
    fn failed_twice(&self, fault: &Fault, at: Timestamp) -> LastUpdate {
        let first = self.last_update.error.as_ref().map_or("", |(_, message)| message);
        let message = format!("{first} (and going back failed as well: {})", fault.message);
        self.failed(Fault { code: fault.code, message }, at)
    }
}

fn pending(at: Timestamp, replacement: Replacement) -> LastUpdate {
    LastUpdate { status: UpdateStatus::Pending, at, error: None, replacement }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn spec(version: &str) -> Spec {
        Spec { dag_path: version.to_owned(), ..sample::spec("dev") }
    }

    fn fault(message: &str) -> Fault {
        Fault { code: "INCORRECT_CONFIGURATION", message: message.to_owned() }
    }

    fn launch_failed(launch: u64, message: &str) -> Fact {
        Fact::LaunchFailed { launch: LaunchId(launch), fault: fault(message), still: None }
    }

    fn available() -> Life {
        let (life, _) = Life::begin(spec("one"), NOW);
        life.observe(Fact::Launched(LaunchId(1)), NOW).0
    }

    /// An update to another DAG folder.
    fn update(dag_path: &str) -> Request {
        let change = Change { dag_path: Some(dag_path.to_owned()), ..Change::default() };
        Request::Update(Box::new(change), Replacement::Forced)
    }

    fn launch_of(effect: Option<Effect>) -> (LaunchId, String) {
        match effect {
            Some(Effect::Launch { launch, spec, .. }) => (launch, spec.dag_path),
            other => panic!("a launch was due, not {other:?}"),
        }
    }

    #[test]
    fn a_creation_ends_available_or_failed_with_its_reason() {
        let (life, effect) = Life::begin(spec("one"), NOW);
        assert_eq!(life.phase.status(), Status::Creating);
        assert_eq!(launch_of(effect).0, LaunchId(1));
        let (well, _) = life.observe(Fact::Launched(LaunchId(1)), NOW);
        assert_eq!(well.phase, Phase::Available { live: LaunchId(1) });
        assert_eq!(
            (well.last_update.status, well.last_update.error),
            (UpdateStatus::Success, None)
        );
        let (ill, _) = life.observe(launch_failed(1, "no pip"), NOW);
        assert_eq!(ill.phase, Phase::CreateFailed);
        assert_eq!(ill.last_update.error.unwrap().1, "no pip");
    }

    #[test]
    fn an_update_that_fails_goes_back_to_what_ran_and_says_why() {
        let (updating, effect) = available().request(update("two"), NOW).unwrap();
        assert_eq!(launch_of(effect), (LaunchId(2), "two".to_owned()));
        assert_eq!(updating.spec.dag_path, "one", "until it runs, the old description holds");
        let (back, effect) = updating.observe(launch_failed(2, "no such pin"), NOW);
        assert_eq!(back.phase, Phase::RollingBack { live: None });
        assert_eq!(launch_of(effect), (LaunchId(3), "one".to_owned()));
        let (well, _) = back.observe(Fact::Launched(LaunchId(3)), NOW);
        assert_eq!(well.phase, Phase::UpdateFailed { live: LaunchId(3) });
        assert_eq!(well.last_update.error.as_ref().unwrap().1, "no such pin");
        let (down, _) = back.observe(launch_failed(3, "disk full"), NOW);
        assert_eq!(down.phase.status(), Status::Unavailable);
        assert_eq!(
            down.last_update.error.unwrap().1,
            "no such pin (and going back failed as well: disk full)"
        );
    }

    #[test]
    fn an_update_that_fails_beside_what_runs_leaves_it_running_with_its_own_dags() {
        let (updating, _) = available().request(update("two"), NOW).unwrap();
        let fact = Fact::LaunchFailed {
            launch: LaunchId(2),
            fault: fault("no such pin"),
            still: Some(LaunchId(1)),
        };
        let (back, effect) = updating.observe(fact, NOW);
        assert_eq!(back.phase.status(), Status::RollingBack);
        let own = Box::new(spec("one"));
        assert_eq!(effect, Some(Effect::Return { live: LaunchId(1), spec: own }));
        let (kept, effect) = back.observe(Fact::Returned(LaunchId(1), None), NOW);
        assert_eq!((kept.phase.clone(), effect), (Phase::UpdateFailed { live: LaunchId(1) }, None));
        assert_eq!(kept.spec.dag_path, "one");
        assert_eq!(kept.last_update.error.as_ref().unwrap().1, "no such pin");
        let again = kept.request(update("three"), NOW);
        assert!(again.is_ok(), "what failed once may be tried again");
        let (lost, _) = kept.observe(Fact::Lost(LaunchId(1), "killed".to_owned()), NOW);
        assert_eq!(lost.phase.status(), Status::Unavailable);
    }

    #[test]
    fn a_resumed_environment_takes_the_new_description_once_it_runs() {
        let (down, effect) = available().reopened();
        assert_eq!((down.phase.status(), effect), (Status::Unavailable, None));
        let resume = Request::Resume(Some(Box::new(spec("two"))));
        let (updating, effect) = down.request(resume, NOW).unwrap();
        assert_eq!(updating.phase.status(), Status::Updating);
        assert_eq!(launch_of(effect), (LaunchId(2), "two".to_owned()));
        let (well, _) = updating.observe(Fact::Launched(LaunchId(2)), NOW);
        assert_eq!(well.phase, Phase::Available { live: LaunchId(2) });
        assert_eq!(well.spec.dag_path, "two");
    }

    #[test]
    fn an_update_cut_short_by_a_restart_is_not_forgotten() {
        let (updating, _) = available().request(update("two"), NOW).unwrap();
        let (down, _) = updating.reopened();
        let (_, effect) = down.request(Request::Resume(None), NOW).unwrap();
        assert_eq!(launch_of(effect).1, "two");
    }

    #[test]
    fn an_interrupted_or_failed_creation_is_created_again_by_a_resume() {
        let (creating, _) = Life::begin(spec("one"), NOW);
        let (interrupted, effect) = creating.clone().reopened();
        assert_eq!((interrupted.phase.status(), effect), (Status::Creating, None));
        let (failed, _) = creating.observe(launch_failed(1, "no"), NOW);
        for stopped in [interrupted, failed.reopened().0] {
            let (again, effect) = stopped.request(Request::Resume(None), NOW).unwrap();
            assert_eq!(again.phase, Phase::Creating);
            assert_eq!(launch_of(effect).0, LaunchId(2));
        }
    }

    #[test]
    fn a_running_environment_that_is_as_wanted_is_left_alone() {
        let same = Request::Resume(Some(Box::new(spec("one"))));
        let (life, effect) = available().request(same, NOW).unwrap();
        assert_eq!((life, effect), (available(), None));
    }

    #[test]
    fn lost_components_make_it_unavailable_and_old_losses_do_not() {
        let (old, _) = available().observe(Fact::Lost(LaunchId(0), "old".to_owned()), NOW);
        assert_eq!(old, available());
        let (lost, _) = available().observe(Fact::Lost(LaunchId(1), "killed".to_owned()), NOW);
        assert_eq!(lost.phase.status(), Status::Unavailable);
        assert_eq!(lost.last_update.error.unwrap().1, "killed");
    }

    #[test]
    fn a_deletion_outlives_a_restart_and_is_tried_again_after_a_failure() {
        let (deleting, effect) = available().request(Request::Delete, NOW).unwrap();
        assert_eq!((deleting.phase.status(), effect), (Status::Deleting, Some(Effect::Remove)));
        assert_eq!(deleting.clone().reopened().1, Some(Effect::Remove));
        assert_eq!(deleting.request(Request::Delete, NOW).unwrap().1, None);
        let (stuck, _) = deleting.observe(Fact::RemovalFailed(fault("busy")), NOW);
        let (again, effect) = stuck.request(Request::Delete, NOW).unwrap();
        assert_eq!(effect, Some(Effect::Remove));
        assert_eq!(again.observe(Fact::Removed, NOW).0.phase, Phase::Deleted);
    }

    #[test]
    fn a_removal_that_a_new_start_tries_again_is_not_started_twice() {
        let deleting = available().request(Request::Delete, NOW).unwrap().0;
        let (stuck, _) = deleting.observe(Fact::RemovalFailed(fault("busy")), NOW);
        let (again, effect) = stuck.reopened();
        assert_eq!(effect, Some(Effect::Remove));
        assert_eq!(again.request(Request::Delete, NOW).unwrap().1, None);
    }

    #[test]
    fn what_is_under_way_is_not_deleted() {
        let (creating, _) = Life::begin(spec("one"), NOW);
        let refused = creating.request(Request::Delete, NOW).unwrap_err();
        assert_eq!(refused, Refused::Now { verb: "deleted", status: Status::Creating });
        let (updating, _) = available().request(update("two"), NOW).unwrap();
        for request in [Request::Delete, update("three")] {
            assert!(matches!(updating.request(request, NOW), Err(Refused::Now { .. })));
        }
    }

    #[test]
    fn more_workers_are_no_new_launch() {
        let change = Box::new(Change { max_workers: Some(3), ..Change::default() });
        let (adjusting, effect) =
            available().request(Request::Update(change, Replacement::Forced), NOW).unwrap();
        assert_eq!(adjusting.phase.status(), Status::Updating);
        assert!(matches!(effect, Some(Effect::Adjust { live: LaunchId(1), .. })));
        let (well, _) = adjusting.observe(Fact::Adjusted(LaunchId(1)), NOW);
        assert_eq!(well.phase, Phase::Available { live: LaunchId(1) });
        assert_eq!(well.spec.max_workers, 3);
        let (down, _) = adjusting.reopened();
        assert!(matches!(down.phase, Phase::Unavailable { next: Some(_) }), "it is not forgotten");
    }

    #[test]
    fn a_snapshot_is_a_status_of_its_own_within_an_update() {
        let (updating, _) = available().request(update("two"), NOW).unwrap();
        let (copying, _) = updating.observe(Fact::Snapshotting(LaunchId(2)), NOW);
        assert_eq!(copying.phase.status(), Status::CreatingSnapshot);
        let (copied, _) = copying.observe(Fact::Snapshotted(LaunchId(2)), NOW);
        assert_eq!(copied, updating);
        // Whichever of the two words comes first.
        let (well, _) = copying.observe(Fact::Launched(LaunchId(2)), NOW);
        assert_eq!((well.phase.status(), well.spec.dag_path.as_str()), (Status::Available, "two"));
        assert_eq!(well.observe(Fact::Snapshotted(LaunchId(2)), NOW).0, well);
    }

    #[test]
    fn busy_workers_are_waited_for_only_after_an_update_by_force() {
        let graceful = || Request::Update(Box::default(), Replacement::Graceful);
        assert_eq!(available().request(graceful(), NOW).unwrap_err(), Refused::NeverForced);
        let (updating, _) = available().request(update("two"), NOW).unwrap();
        let (well, _) = updating.observe(Fact::Launched(LaunchId(2)), NOW);
        let (updating, effect) = well.request(graceful(), NOW).unwrap();
        assert_eq!(updating.last_update.replacement, Replacement::Graceful);
        let graceful = Replacement::Graceful;
        assert!(
            matches!(effect, Some(Effect::Launch { replacement, .. }) if replacement == graceful)
        );
    }

    #[derive(Clone, Debug)]
    enum Turn {
        Ask(Request),
        See(Fact),
        Restart,
    }

    fn turn() -> impl Strategy<Value = Turn> {
        let launch = (0u64..8).prop_map(LaunchId);
        let wanted = prop_oneof![Just(None), "[ab]".prop_map(|v| Some(Box::new(spec(&v))))];
        prop_oneof![
            4 => wanted.prop_map(|spec| Turn::Ask(Request::Resume(spec))),
            1 => Just(Turn::Ask(Request::Delete)),
            1 => Just(Turn::Ask(Request::Retag(BTreeMap::new()))),
            4 => "[ab]".prop_map(|path| Turn::Ask(update(&path))),
            1 => (1u32..4).prop_map(|max| {
                let change = Change { max_workers: Some(max), ..Change::default() };
                Turn::Ask(Request::Update(Box::new(change), Replacement::Forced))
            }),
            1 => launch.clone().prop_map(|launch| Turn::See(Fact::Snapshotting(launch))),
            1 => launch.clone().prop_map(|launch| Turn::See(Fact::Snapshotted(launch))),
            2 => launch.clone().prop_map(|launch| Turn::See(Fact::Adjusted(launch))),
            2 => launch.clone().prop_map(|launch| Turn::See(Fact::Returned(launch, None))),
            4 => launch.clone().prop_map(|launch| Turn::See(Fact::Launched(launch))),
            4 => (launch.clone(), any::<bool>()).prop_map(|(launch, kept)| {
                let still = kept.then_some(LaunchId(0));
                Turn::See(Fact::LaunchFailed { launch, fault: fault("no"), still })
            }),
            2 => launch.prop_map(|l| Turn::See(Fact::Lost(l, "gone".to_owned()))),
            1 => Just(Turn::See(Fact::Removed)),
            1 => Just(Turn::See(Fact::RemovalFailed(fault("busy")))),
            1 => Just(Turn::Restart),
        ]
    }

    /// Work whose end is still to come, as the driver would have it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Work {
        Launch(LaunchId),
        Adjust(LaunchId),
        Return(LaunchId),
        Remove,
    }

    /// The work that a fact is the end of.
    fn ended(fact: &Fact) -> Option<Work> {
        match fact {
            Fact::Launched(launch) | Fact::LaunchFailed { launch, .. } => {
                Some(Work::Launch(*launch))
            }
            Fact::Adjusted(live) => Some(Work::Adjust(*live)),
            Fact::Returned(live, _) => Some(Work::Return(*live)),
            Fact::Removed | Fact::RemovalFailed(_) => Some(Work::Remove),
            Fact::Snapshotting(_) | Fact::Snapshotted(_) | Fact::Lost(..) => None,
        }
    }

    fn begun(effect: &Effect) -> Work {
        match effect {
            Effect::Launch { launch, .. } => Work::Launch(*launch),
            Effect::Adjust { live, .. } => Work::Adjust(*live),
            Effect::Return { live, .. } => Work::Return(*live),
            Effect::Remove => Work::Remove,
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_work_is_under_way_exactly_where_the_status_says_so(
            turns in proptest::collection::vec(turn(), 0..40)
        ) {
            let (mut life, effect) = Life::begin(spec("a"), NOW);
            let mut newest = launch_of(effect.clone()).0;
            let mut under_way = effect.as_ref().map(begun);
            for turn in turns {
                let (next, effect) = match turn {
                    Turn::Ask(request) => match life.request(request, NOW) {
                        Ok(step) => step,
                        Err(_) => continue,
                    },
                    Turn::See(fact) => {
                        if let Some(work) = ended(&fact) {
                            // Only work that was started can end, and it ends once.
                            if under_way != Some(work) { continue; }
                            under_way = None;
                        }
                        life.observe(fact, NOW)
                    }
                    Turn::Restart => {
                        under_way = None;
                        life.reopened()
                    }
                };
                if let Some(effect) = effect {
                    if let Effect::Launch { launch, .. } = &effect {
                        prop_assert!(*launch > newest, "launch ids are never used twice");
                        newest = *launch;
                    }
                    prop_assert!(under_way.is_none(), "one piece of work at a time");
                    under_way = Some(begun(&effect));
                }
                life = next;
                let moving = match life.phase.status() {
                    Status::Creating => life.phase == Phase::Creating,
                    Status::Updating | Status::CreatingSnapshot | Status::RollingBack => true,
                    // A removal that failed is tried again by a new start, or by who asks again.
                    Status::Deleting => under_way.is_some(),
                    Status::CreateFailed
                    | Status::Available
                    | Status::UpdateFailed
                    | Status::Unavailable
                    | Status::Deleted => false,
                };
                prop_assert_eq!(moving, under_way.is_some(), "{:?}", life.phase);
                let failing =
                    matches!(life.phase, Phase::CreateFailed | Phase::UpdateFailed { .. });
                prop_assert!(!failing || life.last_update.error.is_some());
            }
        }
    }
}
