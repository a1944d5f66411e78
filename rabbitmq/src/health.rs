//! One state of the broker out of two connections.

use std::sync::Mutex;

use bus_core::ports::broker::BrokerHealth;
use tokio::sync::watch;

use crate::session::Purpose;

/// Collects what the links report and publishes the worse of the two.
pub(crate) struct Board {
    states: Mutex<[BrokerHealth; 2]>,
    overall: watch::Sender<BrokerHealth>,
}

impl Board {
    /// Both connections are still being made.
    pub(crate) fn new() -> Self {
        let connecting = BrokerHealth::Disconnected("connecting".to_owned());
        Self { states: Mutex::new([connecting.clone(), connecting.clone()]), overall: watch::Sender::new(connecting) }
    }

    /// Notes one connection's state; watchers wake only when the overall state changes.
    pub(crate) fn report(&self, purpose: Purpose, state: BrokerHealth) {
        let mut states = self.states.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        states[purpose as usize] = state;
        let worst = worst(&states).clone();
        self.overall.send_if_modified(|overall| {
            let changed = *overall != worst;
            *overall = worst;
            changed
        });
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BrokerHealth> {
        self.overall.subscribe()
    }
}

fn worst(states: &[BrokerHealth; 2]) -> &BrokerHealth {
    let rank = |state: &BrokerHealth| match state {
        BrokerHealth::Connected => 0,
        BrokerHealth::Blocked(_) => 1,
        BrokerHealth::Disconnected(_) => 2,
    };
    let [publish, consume] = states;
    if rank(consume) > rank(publish) { consume } else { publish }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_connection_decides() {
        let (down, blocked) = (BrokerHealth::Disconnected("x".into()), BrokerHealth::Blocked("disk".into()));
        let board = Board::new();
        let health = board.subscribe();
        for (purpose, state, overall) in [
            (Purpose::Publish, BrokerHealth::Connected, BrokerHealth::Disconnected("connecting".into())),
            (Purpose::Consume, BrokerHealth::Connected, BrokerHealth::Connected),
            (Purpose::Publish, blocked.clone(), blocked.clone()),
            (Purpose::Consume, down.clone(), down.clone()),
            (Purpose::Consume, BrokerHealth::Connected, blocked),
        ] {
            board.report(purpose, state);
            assert_eq!(*health.borrow(), overall);
        }
    }
}
