//! What is to be written, and what could not be kept.

use bus_core::ports::journal::Step;
use bus_core::vocabulary::{Moment, Seq, StreamName};

use super::block::Packed;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Note {
    Block(Box<Packed>),
    Published { stream: StreamName, first: Seq, last: u64, at: Moment },
    Step(Box<Step>),
}

impl Note {
    pub fn bytes(&self) -> usize {
        match self {
            Note::Block(packed) => packed.bytes * 2,
            Note::Published { .. } => 100,
            Note::Step(_) => 400,
        }
    }
}

/// Notes that could not be kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub count: u64,
    pub from: Option<Moment>,
    pub to: Option<Moment>,
}

impl Lost {
    pub fn add(&mut self, count: u64, now: Moment) {
        self.count += count;
        self.from.get_or_insert(now);
        self.to = Some(now);
    }

    pub fn merge(&mut self, other: Lost) {
        self.count += other.count;
        self.from = [self.from, other.from].into_iter().flatten().min();
        self.to = self.to.max(other.to);
    }
}
