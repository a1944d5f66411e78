//! Who waits for which delivery: so that a message held for a record goes on soon after it was delivered (D11).
//!
//! Only a hint, in memory: what is forgotten with a crash is found by the next look, half a minute later at most.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::vocabulary::{Key, RouteName};

/// A longer circle is not looked for: its time ends it.
const CIRCLE: usize = 32;

/// Shared by all routes of a process. Cloning is cheap. Each held key seeks one record at a time, so it is as large as
/// what is held: 10 000 rows of `waiting` a route.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Whether anything is sought: most landscapes hold nothing, and a delivery must not cost them a lock.
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// By the key that is sought.
    sought: HashMap<Key, Vec<Seeker>>,
    /// By seeker, what it seeks.
    seeks: HashMap<(RouteName, Key), Sought>,
    /// By route, the held keys that may go on.
    come: HashMap<RouteName, HashSet<Key>>,
}

#[derive(Debug)]
struct Sought {
    key: Key,
    from: Arc<[RouteName]>,
}

#[derive(Debug)]
struct Seeker {
    route: RouteName,
    key: Key,
    /// Any of these may bring it.
    from: Arc<[RouteName]>,
}

impl Arrivals {
    /// A worker of this route starts; what one that ended was waiting for is looked at anew.
    pub(super) fn started(&self, route: &RouteName) {
        let mut state = self.lock();
        state.sought.retain(|_, seekers| {
            seekers.retain(|seeker| seeker.route != *route);
            !seekers.is_empty()
        });
        state.seeks.retain(|(seeker, _), _| seeker != route);
        state.come.remove(route);
        self.note(&state);
    }

    /// `key` of `route` waits for `sought`, in the place of what it waited for before. To be called before looking whether it is
    /// there, so that nothing falls between the look and the wait.
    pub(super) fn seek(&self, route: &RouteName, key: &Key, sought: &Key, from: &Arc<[RouteName]>) {
        let mut state = self.lock();
        state.forget(route, key);
        let seeks = Sought { key: sought.clone(), from: Arc::clone(from) };
        state.seeks.insert((route.clone(), key.clone()), seeks);
        let seeker = Seeker { route: route.clone(), key: key.clone(), from: Arc::clone(from) };
        state.sought.entry(sought.clone()).or_default().push(seeker);
        self.note(&state);
    }

    /// Whether what `key` of `route` waits for waits for it, directly or by way of others. Who closes a circle sees it, in
    /// whatever order they come.
    pub(super) fn is_circle(&self, route: &RouteName, key: &Key) -> bool {
        let state = self.lock();
        let start = (route.clone(), key.clone());
        let mut place = start.clone();
        for _ in 0..CIRCLE {
            let Some(Sought { key: sought, from }) = state.seeks.get(&place) else { return false };
            // Another route may still bring it.
            let [only] = from.as_ref() else { return false };
            place = (only.clone(), sought.clone());
            if place == start {
                return true;
            }
        }
        false
    }

    /// `key` of `route` waits for nothing any more.
    pub(super) fn found(&self, route: &RouteName, key: &Key) {
        if self.0.any.load(Ordering::Acquire) {
            let mut state = self.lock();
            state.forget(route, key);
            self.note(&state);
        }
    }

    /// It is durable that this route has delivered this key.
    pub(super) fn delivered(&self, route: &RouteName, key: &Key) {
        if !self.0.any.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        let Some(seekers) = state.sought.remove(key) else { return };
        let (come, others): (Vec<_>, Vec<_>) = seekers.into_iter().partition(|seeker| seeker.from.contains(route));
        if !others.is_empty() {
            state.sought.insert(key.clone(), others);
        }
        for seeker in come {
            state.seeks.remove(&(seeker.route.clone(), seeker.key.clone()));
            state.come.entry(seeker.route).or_default().insert(seeker.key);
        }
        self.note(&state);
    }

    /// Held keys of this route that may go on.
    pub(super) fn take(&self, route: &RouteName) -> HashSet<Key> {
        if !self.0.any.load(Ordering::Acquire) {
            return HashSet::new();
        }
        let mut state = self.lock();
        let come = state.come.remove(route).unwrap_or_default();
        self.note(&state);
        come
    }

    fn note(&self, state: &State) {
        self.0.any.store(!state.sought.is_empty() || !state.come.is_empty(), Ordering::Release);
    }

    /// A panic while holding the lock leaves a hint less, or one too many.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, route: &RouteName, key: &Key) {
        let Some(Sought { key: sought, .. }) = self.seeks.remove(&(route.clone(), key.clone())) else { return };
        if let Some(seekers) = self.sought.get_mut(&sought) {
            seekers.retain(|seeker| seeker.route != *route || seeker.key != *key);
            if seekers.is_empty() {
                self.sought.remove(&sought);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_once_and_by_the_right_route() {
        let route = |name: &str| RouteName::new(name).unwrap();
        let key = Key::from_stored;
        let (arrivals, from) = (Arrivals::default(), Arc::from([route("products")]));
        let come = || arrivals.take(&route("orders"));
        arrivals.delivered(&route("products"), &key("p1"));
        arrivals.seek(&route("orders"), &key("o1"), &key("p1"), &from);
        arrivals.seek(&route("orders"), &key("o2"), &key("p1"), &from);
        arrivals.seek(&route("orders"), &key("o2"), &key("p2"), &from);
        arrivals.delivered(&route("elsewhere"), &key("p1"));
        assert!(come().is_empty());
        arrivals.delivered(&route("products"), &key("p1"));
        assert_eq!(come(), HashSet::from([key("o1")]));
        assert!(come().is_empty());
        arrivals.found(&route("orders"), &key("o2"));
        arrivals.delivered(&route("products"), &key("p2"));
        assert!(come().is_empty());
        let state = arrivals.lock();
        assert!(state.sought.is_empty() && state.seeks.is_empty() && state.come.is_empty());
    }

    #[test]
    fn who_closes_a_circle_is_told() {
        let (arrivals, key) = (Arrivals::default(), Key::from_stored);
        let route = |name: &str| RouteName::new(name).unwrap();
        let seek = |from: &str, who: &str, to: &[&str], what: &str| {
            let to: Arc<[RouteName]> = to.iter().map(|name| route(name)).collect();
            arrivals.seek(&route(from), &key(who), &key(what), &to);
            arrivals.is_circle(&route(from), &key(who))
        };
        assert!(!seek("items", "a", &["groups"], "g"));
        assert!(!seek("groups", "g", &["groups"], "h"));
        assert!(!seek("items", "h", &["items"], "a"), "another route's record of the same key");
        assert!(seek("groups", "h", &["items"], "a"));
        assert!(!seek("groups", "h", &["items", "elsewhere"], "a"), "another route may bring it");
        arrivals.found(&route("groups"), &key("g"));
        assert!(!seek("groups", "h", &["items"], "a"), "one of them waits no more");
        // A tail that leads into a circle is none of it.
        assert!(!seek("x", "1", &["x"], "2"));
        assert!(!seek("x", "2", &["x"], "3"));
        assert!(seek("x", "3", &["x"], "2"));
        assert!(!seek("x", "1", &["x"], "2"));
    }

    #[test]
    fn a_worker_that_starts_again_seeks_anew() {
        let (orders, products) = (RouteName::new("orders").unwrap(), RouteName::new("products").unwrap());
        let (arrivals, from) = (Arrivals::default(), Arc::from([products.clone()]));
        arrivals.seek(&orders, &Key::from_stored("o"), &Key::from_stored("p"), &from);
        arrivals.started(&orders);
        arrivals.delivered(&products, &Key::from_stored("p"));
        assert!(arrivals.take(&orders).is_empty() && !arrivals.0.any.load(Ordering::Acquire));
    }
}
