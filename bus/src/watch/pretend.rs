//! What tests pretend to the looks, with the feature `failpoints` only: `BUS_HURRY=100` lets a hundred times as much time
//! pass for them, and `BUS_DISK_FREE` names a file with the bytes that are free. Without the feature nothing is pretended.

use bus_core::vocabulary::Moment;

/// The time of the looks.
#[cfg(feature = "failpoints")]
pub fn now() -> Moment {
    static START: std::sync::OnceLock<(Moment, i64)> = std::sync::OnceLock::new();
    let (start, speed) = *START.get_or_init(|| {
        let speed = std::env::var("BUS_HURRY").ok().and_then(|text| text.parse().ok());
        (Moment::now(), speed.unwrap_or(1))
    });
    Moment(start.0 + (Moment::now().0 - start.0) * speed)
}

/// The time of the looks.
#[cfg(not(feature = "failpoints"))]
pub fn now() -> Moment {
    Moment::now()
}

/// What is free on the disk, if that is pretended.
#[cfg(feature = "failpoints")]
pub fn free() -> Option<u64> {
    let file = std::env::var_os("BUS_DISK_FREE")?;
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// What is free on the disk, if that is pretended.
#[cfg(not(feature = "failpoints"))]
pub fn free() -> Option<u64> {
    None
}
