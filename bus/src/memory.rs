//! How glibc's allocator shares memory between threads.

/// As many arenas as cores. By default there are eight times as many, and each keeps what its threads have freed: reading
/// 100 000 documents of 1C peaked at 115 MB with sixteen arenas, and at 96 MB with two (docs/benchmarks.md).
///
/// To be called before the first thread starts. Other C libraries have no arenas: nothing happens there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(
    unsafe_code,
    reason = "a setting of the C library, made while there is one thread; it takes two integers and keeps no pointer"
)]
pub fn few_arenas() {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let arenas = i32::try_from(cores).unwrap_or(i32::MAX).max(2);
    // SAFETY: `mallopt` only stores the number. If it refuses, the default stays, which is not wrong.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}

/// See above.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn few_arenas() {}
