//! Installs the Debian packages and Rust components that the tests need, and leaves no server running.
//!
//! The tests start servers of their own, on free ports and in their own directories: only the programs are wanted.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program that the tests start, and the package that brings it.
struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    present: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need { what: "make, which builds the allocator", packages: &["make"], present: || on_path("make") },
    Need {
        what: "RabbitMQ server",
        packages: &["rabbitmq-server"],
        present: || Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() && on_path("epmd"),
    },
    Need { what: "PostgreSQL server and pgbench", packages: &["postgresql"], present: postgresql_present },
    Need { what: "npm", packages: &["nodejs", "npm"], present: || on_path("node") && on_path("npm") },
    Need {
        what: "aiosmtpd",
        packages: &["python3-aiosmtpd"],
        present: || Path::new("/usr/lib/python3/dist-packages/aiosmtpd").exists(),
    },
    Need {
        what: "Python with venv and pip",
        packages: &["python3", "python3-venv", "python3-pip"],
        present: || succeeds("python3", &["-c", "import venv, ensurepip, pip"]),
    },
    Need { what: "setpriv", packages: &["util-linux"], present: || on_path("setpriv") },
];

/// Installs what is missing; says what it does, and what to do by hand where it cannot.
pub fn run() -> Result<()> {
    rust_component("rustfmt", "cargo-fmt")?;
    rust_component("clippy", "cargo-clippy")?;
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        println!("every server and tool that the tests start is installed");
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages.iter().copied()).collect();
    println!("installing {} (Debian packages: {})", names(&missing), packages.join(" "));
    if !on_path("apt-get") {
        bail!("apt-get is not here: install {} by hand, then run this again", names(&missing));
    }
    apt_get(&packages)?;
    let missing: Vec<&Need> = missing.into_iter().filter(|need| !(need.present)()).collect();
    if !missing.is_empty() {
        bail!("apt-get succeeded, yet {} cannot be found", names(&missing));
    }
    Ok(())
}

fn names(needs: &[&Need]) -> String {
    needs.iter().map(|need| need.what).collect::<Vec<_>>().join(", ")
}

/// Runs as root, in one go, so that `sudo` asks once and the trap restores what was changed even after Ctrl-C.
///
/// - `policy-rc.d` that answers 101 keeps packages from starting their service; an existing one is put aside meanwhile.
/// - `create_main_cluster = false` keeps PostgreSQL from making a cluster on port 5432.
/// - Services that came with a package are disabled, or they would start at the next boot.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/no-main-cluster-for-tests.conf
had_rabbitmq=$(dpkg-query -W -f='${Status}' rabbitmq-server 2>/dev/null || true)
had_postgresql=$(dpkg-query -W -f='${Status}' postgresql-common 2>/dev/null || true)
had_epmd=$(dpkg-query -W -f='${Status}' erlang-base 2>/dev/null || true)
restore() {
    rm -f "$cluster" "$policy"
    rmdir "$(dirname "$cluster")" 2>/dev/null || true
    if [ -e "$policy.before-tests" ]; then mv "$policy.before-tests" "$policy"; fi
}
trap restore EXIT
trap 'exit 130' INT TERM HUP
if [ -e "$policy" ] && [ ! -e "$policy.before-tests" ]; then mv "$policy" "$policy.before-tests"; fi
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
mkdir -p "$(dirname "$cluster")"
echo 'create_main_cluster = false' > "$cluster"
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"
if command -v systemctl >/dev/null 2>&1; then
    case "$had_rabbitmq" in *installed*) ;; *) systemctl disable rabbitmq-server.service >/dev/null 2>&1 || true ;; esac
    case "$had_postgresql" in *installed*) ;; *) systemctl disable postgresql.service >/dev/null 2>&1 || true ;; esac
    case "$had_epmd" in *installed*) ;; *) systemctl disable epmd.socket epmd.service >/dev/null 2>&1 || true ;; esac
fi
"#;

fn apt_get(packages: &[&str]) -> Result<()> {
    let by_hand = format!("run this as root, then try again: apt-get install {}", packages.join(" "));
    let mut command = if is_root()? {
        Command::new("sh")
    } else if on_path("sudo") {
        println!("sudo may ask for your password");
        let mut command = Command::new("sudo");
        command.arg("sh");
        command
    } else {
        bail!("installing needs root, and sudo is not here; {by_hand}");
    };
    let status =
        command.args(["-c", INSTALL, "install"]).args(packages).status().context("cannot start the installation")?;
    if !status.success() {
        bail!("the installation failed ({status}); {by_hand}");
    }
    Ok(())
}

/// A toolchain installed with rustup's minimal profile has neither of the two.
fn rust_component(component: &str, program: &str) -> Result<()> {
    if on_path(program) && succeeds(program, &["--version"]) {
        return Ok(());
    }
    println!("installing the Rust component {component}");
    if !succeeds("rustup", &["component", "add", component]) {
        bail!(
            "cannot install {component}: run `rustup component add {component}`, or install it as Rust was installed"
        );
    }
    Ok(())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot ask `id` who we are")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// Debian keeps the server's programs off the path, one folder per major version.
fn postgresql_present() -> bool {
    let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") else { return false };
    versions.flatten().any(|version| {
        ["initdb", "postgres", "pgbench", "psql"]
            .iter()
            .all(|program| version.path().join("bin").join(program).exists())
    })
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
