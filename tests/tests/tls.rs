//! TLS with an authority of one's own: HTTP receivers and PostgreSQL, the right one and each way to be wrong. Every
//! refusal says what to do, and needs a person: no record is lost to it, none is tried in vain.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bus_connectors::http::{self, Client, HttpTarget, Repeats, Request, Send};
use bus_connectors::sql::{self, SqlSource};
use bus_connectors::{Served, Serves};
use bus_core::ports::source::{Source, SourceFault, SystemReport};
use bus_core::ports::target::Target;
use bus_core::vocabulary::{Fault, Secret, StreamName};
use bus_tests::eventually::eventually;
use bus_tests::servers::Postgres;
use bus_tests::tls::{Authority, Greeting, Issued, server};

/// What is said about each certificate that must not be accepted by a client that trusts `trusted`.
fn refused() -> (Authority, [(Issued, &'static str); 3]) {
    let (trusted, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let cases = [
        (other.issue().unwrap(), "name it as `ca` of the system"),
        (trusted.issue_expired().unwrap(), "it has expired"),
        (trusted.issue_for("else.example").unwrap(), "not for the name in the address"),
    ];
    (trusted, cases)
}

async fn http(port: u16, ca: Option<&str>) -> Result<SystemReport, (Fault, String)> {
    let options = http::Options {
        url: format!("https://localhost:{port}").parse().unwrap(),
        headers: Vec::new(),
        basic: Some(("bus".to_owned(), Secret::new("hunter2"))),
        ca_pem: ca.map(|pem| pem.as_bytes().to_vec()),
        timeout: Duration::from_secs(10),
    };
    let send = Send {
        upsert: Request { method: "PUT".parse().unwrap(), path: "/".parse().unwrap() },
        on_delete: None,
        headers: Vec::new(),
        receiver_id: None,
        idempotency_header: None,
        repeats: Repeats::Harmless,
        batch: None,
    };
    let target = HttpTarget::new(Client::new(options).unwrap(), send).unwrap();
    target.check().await.map_err(|error| (error.fault, error.message))
}

#[tokio::test]
async fn an_http_receiver_is_trusted_by_its_own_authority_only() {
    let (trusted, cases) = refused();
    let port = server(&trusted.issue().unwrap(), Greeting::None).unwrap();
    http(port, Some(&trusted.pem)).await.unwrap();
    let (fault, without) = http(port, None).await.unwrap_err();
    assert!(fault == Fault::Misconfigured && without.contains("name it as `ca`"), "{without}");
    for (issued, words) in cases {
        let port = server(&issued, Greeting::None).unwrap();
        let (fault, message) = http(port, Some(&trusted.pem)).await.unwrap_err();
        assert_eq!(fault, Fault::Misconfigured, "{message}");
        assert!(message.contains(words) && !message.contains("hunter2"), "{message}");
    }
}

async fn postgres(port: u16, database: &str, ca: &str) -> Result<SystemReport, (SourceFault, String)> {
    let stream = StreamName::new("orders").unwrap();
    let options = sql::Options {
        url: Secret::new(format!("postgres://postgres:hunter2@localhost:{port}/{database}")),
        ca_pem: Some(ca.as_bytes().to_vec()),
        serves: Serves::One(Served { stream, key: vec!["id".into()], label: None, date: None }),
        query: "SELECT 1 AS id".into(),
        cursor: None,
        timeout: Duration::from_secs(10),
        tape: None,
    };
    SqlSource::new(options).unwrap().check().await.map_err(|error| (error.fault, error.message))
}

#[tokio::test]
async fn postgresql_is_trusted_by_its_own_authority_only() {
    let (trusted, cases) = refused();
    let real = Postgres::start().await.unwrap();
    // A server without TLS is not spoken to in the clear by somebody who named an authority.
    let (_, plain) = postgres(real.port(), "postgres", &trusted.pem).await.unwrap_err();
    assert!(!plain.contains("hunter2"), "{plain}");
    real.encrypt(&trusted.issue().unwrap()).await.unwrap();
    // The server takes up its new settings when it gets round to it.
    let report = eventually("TLS", Duration::from_secs(20), || async {
        Ok::<_, anyhow::Error>(postgres(real.port(), "postgres", &trusted.pem).await.ok())
    });
    assert!(report.await.unwrap().version.starts_with("PostgreSQL "));
    for (issued, words) in cases {
        let port = server(&issued, Greeting::Postgres).unwrap();
        let (fault, message) = postgres(port, "postgres", &trusted.pem).await.unwrap_err();
        assert_eq!(fault, SourceFault::Misconfigured, "{message}");
        assert!(message.contains(words) && !message.contains("hunter2"), "{message}");
    }
}
