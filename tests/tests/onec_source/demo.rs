//! `bus demo`: from 1C to two receivers, and its own figures add up.

use std::time::Duration;

use bus_tests::bus::Bus;
use serde_json::Value;

/// The demo's own limit for what is under way at its end, its start, and a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_loses_nothing_and_says_so() {
    let output = Bus::new().unwrap().run_within(&["demo", "--for", "3s", "--json"], LIMIT).await.unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let verdict: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{wrong}"));
    let count = |name: &str| verdict[name].as_u64().unwrap_or_else(|| panic!("{name}: {verdict}"));
    assert_eq!((count("lost"), &verdict["drained"]), (0, &Value::Bool(true)), "{verdict}");
    assert!(count("delivered") > 50 && count("skipped") > 0, "orders, products, prices and stock: {verdict}");
    let settled = count("delivered") + count("superseded") + count("skipped") + count("dead_lettered");
    assert_eq!(settled, count("issued"), "each change is accounted for: {verdict}");
    // By the receivers' clocks: one that stalls sees all requests that are under way, which left in time, at once. Those are
    // four at most. The strict promise is proven with one at a time (`oracle/pace.rs`) and in `pace.rs`.
    let excess = verdict["max_window_excess"].as_f64().unwrap();
    assert!(excess < 4.0, "more than were under way: {verdict}");
    // The demo itself complains of a whole request too many.
    assert_eq!(output.status.code(), Some(i32::from(excess >= 1.0)), "{said}{wrong}");
}
