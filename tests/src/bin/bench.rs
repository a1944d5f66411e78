//! Benchmarks of the program beside bare loops; see `bus_tests::bench`. Run by `cargo xtask bench`.

fn main() -> anyhow::Result<()> {
    bus_tests::bench::run()
}
