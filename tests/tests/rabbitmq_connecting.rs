//! Connecting to RabbitMQ: TLS, refusals, and starting while it is down; every failure names its remedy, none the
//! password.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bus_contract::sample;
use bus_core::ports::broker::{Broker, BrokerHealth, NoDepth, QueuePlan};
use bus_core::vocabulary::{QueueName, Secret};
use bus_rabbitmq::{Options, OptionsError, RabbitMq};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::proxy::{Proxy, Weather};
use bus_tests::receiver::{Receiver, Script};
use bus_tests::servers::RabbitMq as Node;
use bus_tests::tls::{self, Authority, Greeting};
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

    let wrong = file(&directory, "other.pem", &Authority::new().unwrap().pem);
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

/// `broker_ca` through the whole program.
#[tokio::test(flavor = "multi_thread")]
async fn a_bus_delivers_over_a_broker_with_its_own_authority_and_check_refuses_another() {
    let (node, receiver) = (Node::shared().await.unwrap(), Receiver::start(&Script::default()).await.unwrap());
    let mut bus = Bus::new().unwrap();
    for (name, pem) in [("наш.pem", node.authority()), ("чужой.pem", &Authority::new().unwrap().pem)] {
        std::fs::write(bus.directory().join(name), pem).unwrap();
    }
    let vhost = node.vhost().await.unwrap();
    bus.env("RABBITMQ", node.tls_url().replace("%2f", &vhost.name));
    bus.env("PUSH_KEY", "push-secret");
    let routes = |listen: String, ca: &str| {
        format!(
            r#"
            [bus]
            listen = "{listen}"
            broker = {{ env = "RABBITMQ" }}
            {ca}
            [systems.shop]
            kind = "http"
            url = "{}"
            [streams.users]
            listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            [routes.users-to-shop]
            stream = "users"
            to = "shop"
            send = {{ method = "PUT", path = "/users/{{key}}" }}
            "#,
            receiver.url()
        )
    };
    for (ca, words) in [("broker_ca = \"чужой.pem\"", "not signed by the configured CA"), ("", "name the CA")] {
        bus.routes(&routes(bus.listen(), ca)).unwrap();
        let (code, out, err) = bus.says(&["check", "--connect"]).await.unwrap();
        assert!(code == 69 && out.contains("the broker") && out.contains(words), "{code}: {out}{err}");
    }
    bus.routes(&routes(bus.listen(), "broker_ca = \"наш.pem\"")).unwrap();
    let (code, out, err) = bus.says(&["check", "--connect"]).await.unwrap();
    assert!(code == 0 && out.contains("ok    the broker"), "{code}: {out}{err}");
    bus.start().await.unwrap();
    bus.pushed("users", r#"{"id":1}"#).await.unwrap();
    let delivered = || async { Ok(receiver.ledger()?.applied().find(|entry| entry.method == "PUT").cloned()) };
    let delivered = eventually("the delivery", Duration::from_secs(20), delivered).await.unwrap();
    assert_eq!(delivered.path, "/users/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expired_or_is_for_another_name_says_so() {
    let authority = Authority::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = file(&directory, "ca.pem", &authority.pem);
    let (elsewhere, expired) = (authority.issue_for("rabbit-1.example").unwrap(), authority.issue_expired().unwrap());
    for (issued, words) in [(elsewhere, "not for the name localhost"), (expired, "has expired")] {
        let port = tls::server(&issued, Greeting::None).unwrap();
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
        let report = connect(&url, None).await.unwrap().check().await.unwrap();
        let (problems, rights) = (report.problems, report.rights);
        let whole =
            rights == format!("user {user:?} may configure, write and read in the virtual host {:?}", vhost.name);
        assert_eq!(whole, words.is_empty(), "{words}: {rights}");
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
    assert!(matches!(depth, Err(NoDepth::Unknown(_))), "whether there is such a queue nobody knows: {depth:?}");
    let (declared, depth, consumed) = (declared.unwrap_err(), depth.unwrap_err(), consumed.err().unwrap());
    for text in [declared.to_string(), depth.to_string(), consumed.to_string()] {
        assert!(text.contains("nothing listens") && !text.contains("s3cret"), "{text}");
    }
    assert!(published.len() == 3 && published.iter().all(Result::is_err));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

/// As RabbitMQ 3.10 does to a publisher whose queue was deleted under it; heartbeats would not tell for two minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_answered_is_made_anew() {
    let node = Node::shared().await.unwrap();
    let proxy = Proxy::start(node.port()).await.unwrap();
    let url = node.vhost().await.unwrap().url.replace(&format!(":{}/", node.port()), &format!(":{}/", proxy.port()));
    let (heartbeat, confirm_timeout) = (Duration::from_secs(60), Duration::from_secs(3));
    let options = Options { heartbeat, confirm_timeout, ..Options::new(Secret::new(url), "шина") };
    let broker = RabbitMq::connect(options).await.unwrap();
    let (stream, queue) = (sample::stream(), QueueName::new("orders").unwrap());
    let published = async |number| broker.publish(&stream, &sample::run(&stream, number, number)).await.remove(0);
    let plan = [QueuePlan { queue, stream: stream.clone(), keep: None }];
    eventually("a first publish", Duration::from_secs(30), || async {
        broker.declare(&plan).await?;
        Ok::<_, anyhow::Error>(published(1).await.is_ok().then_some(()))
    })
    .await
    .unwrap();
    proxy.set(Weather { stall: true, ..Weather::default() });
    // The first has a channel already, the second asks for one.
    let (lost, refused) = (published(2).await.unwrap_err().to_string(), published(2).await.unwrap_err().to_string());
    assert!(lost.contains("no confirm") && refused.contains("opening a channel"), "{lost}; {refused}");
    let mut health = broker.health();
    let given_up = health.wait_for(|health| matches!(health, BrokerHealth::Disconnected(_)));
    tokio::time::timeout(Duration::from_secs(30), given_up).await.expect("the connection is given up").unwrap();
    proxy.set(Weather::default());
    eventually("a publish over a new connection", Duration::from_secs(30), || async {
        Ok::<_, anyhow::Error>(published(2).await.is_ok().then_some(()))
    })
    .await
    .unwrap();
}
