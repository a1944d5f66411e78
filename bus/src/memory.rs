//! The program's allocator: jemalloc, because messages are allocated by one thread and freed by another (ADR 0010). The
//! other C libraries in the program, SQLite above all, allocate with it too.

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc before `main`, as the C string that its manual asks for; `MALLOC_CONF` in the environment adds to it. As
/// many arenas as cores instead of four times as many, and what is freed goes back to the system after a second instead of
/// ten: the peak is what counts on a machine that a database shares.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "a name that the C library looks for; nothing else has it, and it is never written")]
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 57] = b"percpu_arena:percpu,dirty_decay_ms:1000,muzzy_decay_ms:0\0";
