//! What must be true at the end of every story: the properties of the protocol, as assertions.

use std::collections::{BTreeMap, HashMap, HashSet};

use bus_core::vocabulary::MessageId;

use super::receiver::Kind;
use super::world::World;

/// Properties 2, 4 and 5, which the receiver watches over by itself.
pub fn the_receiver_has_no_complaints(world: &World) {
    let complaints = world.receiver.complaints();
    assert!(
        complaints.is_empty(),
        "{:?}: {complaints:?}; effects {:?}",
        world.receiver.kind(),
        world.receiver.effects()
    );
}

/// Property 1: what the source holds is what the receiver holds. Keys with a dead letter are a person's business.
pub async fn nothing_is_lost(world: &World) {
    let dead: HashSet<String> = dead_keys(world).await;
    let held = world.receiver.holds();
    for (key, content) in world.table.now() {
        let received = held.get(&key).cloned().flatten();
        assert!(
            dead.contains(&key) || received == content,
            "{key}: the source has {content:?}, the receiver {received:?}; published {:?}; effects {:?}",
            published(world, &key),
            world.receiver.effects(),
        );
    }
}

/// Property 1 for a route that delivers every version: each published message was applied, or is a dead letter, or (a
/// deletion, a repeat of content) said nothing new. Property 7 follows: what is overtaken is never applied.
pub async fn every_message_has_an_outcome(world: &World) {
    let dead: HashSet<MessageId> =
        world.dead().await.into_iter().filter_map(|row| Some(row.letter.envelope?.id)).collect();
    let applied: HashSet<MessageId> = world.receiver.effects().into_iter().map(|effect| effect.id).collect();
    for message in world.sealed() {
        assert!(
            applied.contains(&message.id) || dead.contains(&message.id),
            "{} {} was neither applied nor kept; attempts {:?}",
            message.key,
            message.seq,
            world.receiver.attempts(),
        );
    }
}

/// Property 2, told by content: what a key was seen to hold is a walk forward through what it has held.
pub fn effects_follow_history(world: &World) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for effect in world.receiver.effects() {
        let history = world.table.history(&effect.key);
        let from = seen.get(&effect.key).copied().unwrap_or(0);
        let found = history.iter().skip(from).position(|content| *content == effect.content);
        let Some(found) = found else {
            panic!("{} went back to {:?} in {history:?}: {:?}", effect.key, effect.content, world.receiver.effects());
        };
        seen.insert(effect.key, from + found);
    }
}

/// R1, R7: an id stands for one content and one position, however often it is published; positions rise per epoch
/// without a hole, and a key's generations rise with them.
pub fn identities_are_kept(world: &World) {
    let mut by_id = HashMap::new();
    let mut by_seq = HashMap::new();
    let mut last = HashMap::new();
    let mut generations = HashMap::new();
    for message in world.sealed() {
        let first = by_id.entry(message.id).or_insert_with(|| message.clone());
        assert_eq!(first, &message, "one id for two messages, or two positions of one");
        let first = by_seq.entry(message.seq).or_insert(message.id);
        assert_eq!(first, &message.id, "position {} was given twice", message.seq);
        let highest = last.entry(message.seq.epoch).or_insert(0);
        assert!(message.seq.number <= *highest + 1, "a hole before {}", message.seq);
        *highest = message.seq.number.max(*highest);
        let generation = generations.entry(message.key.clone()).or_insert((message.seq, message.generation));
        if message.seq > generation.0 {
            assert_eq!(message.generation, generation.1 + 1, "generations of {} at {}", message.key, message.seq);
            *generation = (message.seq, message.generation);
        }
    }
}

/// A blind receiver got each message at most once.
pub fn blind_receivers_see_no_repeat(world: &World) {
    if world.receiver.kind() == Kind::Blind {
        let mut seen = HashSet::new();
        for effect in world.receiver.effects() {
            assert!(seen.insert(effect.id), "{} {} was applied twice", effect.key, effect.seq);
        }
    }
}

async fn dead_keys(world: &World) -> HashSet<String> {
    let keys = world.dead().await.into_iter().filter_map(|row| Some(row.letter.envelope?.key.to_string()));
    keys.collect()
}

fn published(world: &World, key: &str) -> Vec<String> {
    let own = world.sealed().into_iter().filter(|message| message.key.as_str() == key);
    own.map(|message| format!("{} {}", message.seq, String::from_utf8_lossy(&message.body))).collect()
}
