//! Connecting to RabbitMQ: TLS, refusals, and starting while it is down; every failure names its remedy, none the
//! password.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_contract::sample;
use bus_core::ports::broker::{Broker, BrokerHealth, QueuePlan};
use bus_core::vocabulary::{QueueName, Secret};
use bus_rabbitmq::{Options, OptionsError, RabbitMq};
use bus_tests::servers::RabbitMq as Node;
use bus_tests::tls::Certificates;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

async fn connect(url: &str, ca_file: Option<PathBuf>) -> Result<RabbitMq, OptionsError> {
    RabbitMq::connect(Options { ca_file, ..Options::new(Secret::new(url), "шина") }).await
}

/// The reason why there is no connection.
async fn refusal(url: &str, ca_file: Option<PathBuf>) -> String {
    let broker = connect(url, ca_file).await.unwrap();
    let health = broker.health().borrow().clone();
    match health {
        BrokerHealth::Disconnected(reason) => reason,
        other => panic!("{url} is {other:?}"),
    }
}

fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_the_right_authority_works_and_with_another_says_so() {
    let node = Node::shared().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let right = file(&directory, "ca.pem", node.authority());
    let broker = connect(&node.tls_url(), Some(right.clone())).await.unwrap();
    assert_eq!(*broker.health().borrow(), BrokerHealth::Connected);
    let report = broker.check().await.unwrap();
    assert!(report.version.starts_with("RabbitMQ 3.") || report.version.starts_with("RabbitMQ 4."), "{report:?}");
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.latency > Duration::ZERO && report.latency < Duration::from_secs(5));

    let wrong = file(&directory, "other.pem", &Certificates::new().unwrap().authority);
    let reason = refusal(&node.tls_url(), Some(wrong)).await;
    assert!(reason.contains("not signed by the configured CA") && reason.contains("CA file"), "{reason}");
    let reason = refusal(&node.tls_url(), None).await;
    assert!(reason.contains("name the CA"), "{reason}");

    let to_plain_port = node.url().replace("amqp://", "amqps://");
    let reason = refusal(&to_plain_port, Some(right)).await;
    assert!(reason.contains("5671"), "{reason}");
    let to_tls_port = node.tls_url().replace("amqps://", "amqp://");
    let reason = refusal(&to_tls_port, None).await;
    assert!(reason.contains("amqps://"), "{reason}");
}

/// Accepts TLS connections with this certificate for as long as the test runs.
fn tls_server(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap().pem();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The client hangs up: that is what is tested.
            let _ = rustls::ServerConnection::new(config.clone()).unwrap().complete_io(&mut stream);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expired_or_is_for_another_name_says_so() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = file(&directory, "ca.pem", &authority);

    let elsewhere = CertificateParams::new(vec!["rabbit-1.example".to_owned()]).unwrap();
    let mut expired = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for (params, words) in [(elsewhere, "not for the name localhost"), (expired, "has expired")] {
        let port = tls_server(params, &issuer);
        let reason = refusal(&format!("amqps://bus:s3cret@localhost:{port}"), Some(ca_file.clone())).await;
        assert!(reason.contains(words) && !reason.contains("s3cret"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_file_that_cannot_serve_is_an_error_of_the_options() {
    let directory = tempfile::tempdir().unwrap();
    for (path, words) in [
        (directory.path().join("missing.pem"), "cannot be read"),
        (file(&directory, "empty.pem", ""), "holds no certificate"),
    ] {
        let error = connect("amqps://localhost", Some(path)).await.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = connect("amqp://bus:s3cret@localhost", Some("ca.pem".into())).await.err().unwrap().to_string();
    assert!(error.contains("without TLS") && !error.contains("s3cret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_says_no() {
    let node = Node::shared().await.unwrap();
    let wrong = node.url().replace("guest:guest", "guest:s3cret");
    let reason = refusal(&wrong, None).await;
    assert!(reason.contains("user \"guest\"") && reason.contains("password") && !reason.contains("s3cret"), "{reason}");
    let nowhere = node.url().replace("%2F", "нет").replace("%2f", "нет");
    let reason = refusal(&nowhere, None).await;
    assert!(reason.contains("virtual host \"нет\"") && reason.contains("set_permissions"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named() {
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let management = node.management();
    let user = format!("user-{}", sample::fresh());
    management.put(&format!("users/{user}"), &json!({ "password": "s3cret", "tags": "" })).await.unwrap();
    for (configure, write, read, words) in
        [("", ".*", ".*", "configure"), (".*", "", ".*", "write"), (".*", ".*", "", "read"), (".*", ".*", ".*", "")]
    {
        let rights = json!({ "configure": configure, "write": write, "read": read });
        management.put(&format!("permissions/{}/{user}", vhost.name), &rights).await.unwrap();
        let url = vhost.url.replace("guest:guest", &format!("{user}:s3cret"));
        let problems = connect(&url, None).await.unwrap().check().await.unwrap().problems;
        if words.is_empty() {
            assert_eq!(problems, Vec::<String>::new());
        } else {
            assert!(problems.concat().contains(&format!("the right to {words}")), "{words}: {problems:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_it_starts_says_so_and_hangs_nowhere() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("amqp://bus:s3cret@127.0.0.1:{port}");
    let broker = connect(&url, None).await.unwrap();
    let health = broker.health().borrow().clone();
    assert!(matches!(&health, BrokerHealth::Disconnected(why) if why.contains("nothing listens")), "{health:?}");
    let (stream, queue) = (sample::stream(), QueueName::new("orders").unwrap());
    let start = Instant::now();
    let plan = [QueuePlan { queue: queue.clone(), stream: stream.clone(), keep: None }];
    let messages = sample::run(&stream, 1, 3);
    let (declared, depth, consumed) =
        tokio::join!(broker.declare(&plan), broker.depth(&queue), broker.consume(&queue, 10));
    let published = broker.publish(&stream, &messages).await;
    for error in [declared.unwrap_err(), depth.unwrap_err(), consumed.err().unwrap()] {
        let text = error.to_string();
        assert!(text.contains("nothing listens") && !text.contains("s3cret"), "{text}");
    }
    assert!(published.len() == 3 && published.iter().all(Result::is_err));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
