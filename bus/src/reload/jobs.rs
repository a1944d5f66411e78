//! Jobs that a reload replaces: what ends with them, what starts in their place, and what is told if it cannot.

use std::collections::BTreeSet;

use bus_config::Landscape;
use bus_core::engine::incident::Kind;
use bus_core::engine::supervisor::JobName;
use bus_core::vocabulary::{GateName, SystemName};

use super::report::word;
use super::{Current, Reloader};
use crate::wire::parts::{self, Parts};

/// Whose trouble it is that something does not run since a reload.
const RELOAD: &str = "the reload";

impl Reloader {
    /// Starts parts and shows their doors; then nothing is idle. After an error none of them runs, and somebody is told.
    pub(super) async fn launch(&self, current: &mut Current, mut parts: Parts) -> anyhow::Result<()> {
        let (doors, outs) = (std::mem::take(&mut parts.doors), std::mem::take(&mut parts.outs));
        match parts.open(&self.workshop).await {
            Ok(jobs) => {
                current.doors.extend(doors);
                current.outs.extend(outs);
                current.idle.clear();
                self.show(current);
                self.running.launch(jobs);
                self.workshop.incidents.close(Kind::JobCrashed, RELOAD);
                Ok(())
            }
            Err(error) => {
                self.show(current);
                self.tell_idle(current, &error);
                Err(error)
            }
        }
    }

    fn tell_idle(&self, current: &Current, error: &anyhow::Error) {
        let idle = current.idle.iter().map(word).collect::<Vec<_>>().join(", ");
        let message = format!("not running since a reload: {idle}: {error:#}");
        let remedy = "nothing is lost; mend what the message says, then: bus reload";
        self.workshop.incidents.open(Kind::JobCrashed, RELOAD, &message, remedy);
    }

    pub(super) fn show(&self, current: &Current) {
        self.doors.set(current.doors.values().cloned().collect());
        self.outs.set(current.outs.clone());
    }

    /// The store took no writes after jobs had ended: they start again as they were.
    pub(super) async fn go_on(&self, current: &mut Current, ended: &BTreeSet<JobName>) {
        current.idle.extend(ended.iter().cloned());
        let idle = current.idle.clone();
        match parts::prepare(&current.landscape, &self.workshop, &current.queues, |job| idle.contains(job)) {
            // Told by itself if it fails.
            Ok(parts) => drop(self.launch(current, parts).await),
            Err(error) => self.tell_idle(current, &error),
        }
    }

    pub(super) async fn close_gates(&self, systems: &BTreeSet<SystemName>, clean: bool) {
        for system in systems {
            for gate in [GateName::Deliveries(system.clone()), GateName::Reads(system.clone())] {
                match clean {
                    true => self.workshop.gates.close(&gate).await,
                    false => self.workshop.gates.abandon(&gate),
                }
            }
        }
    }

    /// Receivers of routes that were cut off may still be at work on an attempt: their systems get nothing until it must be
    /// over (R11).
    pub(super) fn hold_back(&self, old: &Landscape, ended: &BTreeSet<JobName>) {
        for route in old.routes.iter().filter(|route| ended.contains(&JobName::Route(route.name.clone()))) {
            if let Some(gate) = self.workshop.gates.known(&GateName::Deliveries(route.to.clone())) {
                gate.cut_off();
            }
        }
    }

    /// What was wrong with a job that is gone or replaced is opened again if it still is.
    pub(super) fn close_incidents(&self, ended: &BTreeSet<JobName>) {
        let subjects: BTreeSet<&str> = ended
            .iter()
            .map(|job| match job {
                JobName::Feed(name) => name.as_str(),
                JobName::Route(name) => name.as_str(),
                JobName::Outbox(name) => name.as_str(),
            })
            .collect();
        for incident in self.workshop.incidents.list() {
            if subjects.contains(incident.subject.as_str()) {
                self.workshop.incidents.close(incident.kind, &incident.subject);
            }
        }
    }
}

/// The doors of jobs that are gone or replaced.
pub fn close_doors(current: &mut Current, ended: &BTreeSet<JobName>) {
    for job in ended {
        match job {
            JobName::Feed(name) => drop(current.doors.remove(name)),
            JobName::Outbox(name) => drop(current.outs.remove(name)),
            JobName::Route(_) => {}
        }
    }
}
