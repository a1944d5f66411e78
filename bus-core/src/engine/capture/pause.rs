//! A feed that a person paused, or whose system is paused, begins no round; one under way ends first.

use std::sync::Arc;

use super::Capture;
use crate::ports::pauses::Subject;

impl Capture {
    pub(super) async fn wait_while_paused(&mut self) {
        let (pauses, gate, feed) = (self.pauses.clone(), Arc::clone(&self.gate), Subject::Feed(self.plan.name.clone()));
        let ordered = || pauses.of(&feed).or_else(|| gate.pause());
        let Some(pause) = ordered() else { return };
        self.status.send_modify(|status| status.paused = Some(pause.to_string()));
        pauses.until_none(ordered).await;
        self.status.send_modify(|status| status.paused = None);
    }
}
