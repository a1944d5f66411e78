//! A receiver that writes everything down and fails as told; see `bus_tests::receiver`.

fn main() -> anyhow::Result<()> {
    bus_tests::receiver::run()
}
