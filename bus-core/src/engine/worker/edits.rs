//! Dead letters whose content a person changed before they were replayed.

use std::collections::HashMap;

use super::fate::Fate;
use crate::ports::triage::Edited;
use crate::vocabulary::{MessageId, Operation, RouteName};

/// The edits of rows in hand: as many at most as there are such rows. A row that is put down and loaded again brings its
/// edit again.
#[derive(Default)]
pub(super) struct Edits(HashMap<MessageId, Edited>);

impl Edits {
    pub fn remember(&mut self, id: MessageId, edited: Option<Edited>) {
        if let Some(edited) = edited {
            self.0.insert(id, edited);
        }
    }

    pub fn take(&mut self, id: &MessageId) -> Option<Edited> {
        self.0.remove(id)
    }
}

/// A body that a person wrote is sent as it is, whatever filter and transformation say; only the fence is above it.
pub(super) fn overrule(fate: Fate, edited: Option<&Edited>) -> Fate {
    let Some(body) = edited.and_then(|edited| edited.body.as_ref()) else { return fate };
    match fate {
        Fate::Past | Fate::Overtaken | Fate::Send { operation: Operation::Delete, .. } => fate,
        Fate::Skip(_) | Fate::Hold(_) | Fate::Lacks(_) | Fate::Unshapable(_) | Fate::Send { .. } => {
            Fate::Send { operation: Operation::Upsert, body: body.clone() }
        }
    }
}

/// The same for every repeat of the same content: an edit is other content, and a receiver that knows the key of what it
/// had refused must not take it for a repeat.
pub(super) fn idempotency_key(id: &MessageId, route: &RouteName, edited: Option<&Edited>) -> String {
    match edited {
        Some(Edited { number, .. }) => format!("{id}-{route}-{number}"),
        None => format!("{id}-{route}"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_edited_body_overrules_the_program_and_not_the_fence() {
        let edited = Edited { number: 2, body: Some(Bytes::from_static(b"{}")) };
        let send = Fate::Send { operation: Operation::Upsert, body: Bytes::from_static(b"{}") };
        assert_eq!(overrule(Fate::Unshapable("x".into()), Some(&edited)), send);
        assert_eq!(overrule(Fate::Skip("filtered"), Some(&edited)), send);
        assert_eq!(overrule(Fate::Overtaken, Some(&edited)), Fate::Overtaken);
        assert_eq!(overrule(Fate::Past, Some(&edited)), Fate::Past);
        assert_eq!(overrule(Fate::Skip("x"), Some(&Edited { number: 1, body: None })), Fate::Skip("x"));
    }

    #[test]
    fn an_edit_has_a_key_of_its_own() {
        let (id, route) = (MessageId::from_bytes([1; 16]), RouteName::new("a").unwrap());
        let edited = |number| Edited { number, body: None };
        let keys = [None, Some(edited(1)), Some(edited(2))].map(|edited| idempotency_key(&id, &route, edited.as_ref()));
        assert!(keys[0] != keys[1] && keys[1] != keys[2]);
        assert_eq!(keys[0], format!("{id}-a"));
    }
}
