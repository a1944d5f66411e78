//! The harness itself: the receiver fails as its script says and writes everything down, the proxy is as bad as told.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bus_tests::eventually::eventually;
use bus_tests::proxy::{Direction, Proxy, Weather};
use bus_tests::receiver::{Answer, Outcome, Receiver, Rule, Script};
use bus_tests::servers::http_client;
use reqwest::{Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for a busy machine, and only waited for in full where silence is expected.
const LIMIT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(700);

async fn send(receiver: &Receiver, method: Method, key: &str) -> reqwest::Result<Response> {
    let request = http_client().request(method, format!("{}/orders/{key}", receiver.url()));
    request.header("Idempotency-Key", format!("id of {key}")).body(format!("{{\"n\":\"{key}\"}}")).send().await
}

async fn put(receiver: &Receiver, key: &str) -> reqwest::Result<Response> {
    send(receiver, Method::PUT, key).await
}

#[tokio::test]
async fn a_receiver_keeps_state_and_writes_down_what_came() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    assert_eq!(put(&receiver, "УТ-1").await?.status(), 201);
    let again = put(&receiver, "УТ-1").await?;
    assert_eq!((again.status().as_u16(), again.text().await?.as_str()), (200, "{\"id\":1}"));
    assert_eq!(send(&receiver, Method::GET, "УТ-1").await?.text().await?, "{\"n\":\"УТ-1\"}");
    assert_eq!(send(&receiver, Method::DELETE, "УТ-1").await?.status(), 200);
    assert_eq!(send(&receiver, Method::GET, "УТ-1").await?.status(), 404);

    let ledger = receiver.ledger()?;
    let methods: Vec<_> = ledger.applied().map(|entry| entry.method.as_str()).collect();
    assert_eq!(methods, ["PUT", "PUT", "DELETE"]);
    let first = &ledger.entries[0];
    assert_eq!((first.key.as_str(), first.body.as_str()), ("УТ-1", "{\"n\":\"УТ-1\"}"));
    assert_eq!(first.headers["idempotency-key"], "id of УТ-1");
    assert_eq!(ledger.of_key("УТ-1").count(), 5);
    Ok(())
}

#[tokio::test]
async fn a_receiver_fails_as_its_script_says() -> Result<()> {
    let throttled = Answer::Status { code: 429, retry_after: Some(7) };
    let rules = vec![
        Rule::keys(&["never"], Answer::Status { code: 422, retry_after: None }),
        Rule { times: Some(1), ..Rule::keys(&["hang"], Answer::Hang) },
        Rule { times: Some(1), ..Rule::keys(&["reset"], Answer::Reset { applied: true }) },
        Rule { times: Some(1), ..Rule::keys(&["lost"], Answer::Reset { applied: false }) },
        Rule { times: Some(1), ..Rule::keys(&["slow"], Answer::Slow { ms: 300 }) },
        Rule::times(2, throttled),
    ];
    let receiver = Receiver::start(&Script { rules, repeats_by: Some("idempotency-key".into()) }).await?;

    for _ in 0..2 {
        let answer = put(&receiver, "a").await?;
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str()?), (429, "7"));
    }
    assert_eq!(put(&receiver, "a").await?.status(), 201);
    assert_eq!(put(&receiver, "never").await?.status(), 422);
    assert!(tokio::time::timeout(SILENCE, put(&receiver, "hang")).await.is_err());
    assert!(put(&receiver, "reset").await.is_err());
    assert!(put(&receiver, "lost").await.is_err());
    let started = Instant::now();
    assert_eq!(put(&receiver, "slow").await?.status(), 201);
    assert!(started.elapsed() >= Duration::from_millis(300));

    // What was applied without an answer is recognised when it comes again; what was not is applied now.
    for (key, outcome) in [("hang", Outcome::Repeat), ("reset", Outcome::Repeat), ("lost", Outcome::Applied)] {
        put(&receiver, key).await?.error_for_status()?;
        let ledger = receiver.ledger()?;
        assert_eq!(ledger.of_key(key).last().map(|entry| entry.outcome), Some(outcome), "{key}");
    }

    receiver
        .set_script(&Script { rules: vec![Rule::always(Answer::AppliedStatus { code: 500 })], repeats_by: None })
        .await?;
    assert_eq!(put(&receiver, "b").await?.status(), 500);
    assert_eq!(receiver.ledger()?.of_key("b").last().map(|entry| entry.outcome), Some(Outcome::Applied));
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_is_down_refuses_and_comes_back_on_the_same_port() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut open = TcpStream::connect(("127.0.0.1", receiver.port())).await?;
    receiver.down(None).await?;
    let read = tokio::time::timeout(LIMIT, open.read(&mut [0; 1])).await?;
    assert!(matches!(read, Ok(0) | Err(_)), "an open connection is cut");
    let refused = eventually("connections to be refused", LIMIT, || async {
        Ok(put(&receiver, "a").await.err().filter(reqwest::Error::is_connect))
    });
    refused.await?;
    receiver.up().await?;
    eventually("the receiver to be up", LIMIT, || async { Ok(put(&receiver, "a").await.ok()) }).await?;
    receiver.down(Some(Duration::from_millis(200))).await?;
    eventually("the receiver to come up by itself", LIMIT, || async { Ok(put(&receiver, "b").await.ok()) }).await?;
    Ok(())
}

/// A server that sends back what it gets, and a proxy in front of it.
async fn echo() -> Result<Proxy> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Proxy::start(port).await
}

async fn says(stream: &mut TcpStream, text: &[u8]) -> Result<()> {
    stream.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await??;
    ensure!(answer == text, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_proxy_stalls_and_goes_on_without_losing_a_byte() -> Result<()> {
    let proxy = echo().await?;
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    says(&mut stream, "до".as_bytes()).await?;
    proxy.set(Weather { stall: true, ..Weather::default() });
    stream.write_all(b"held").await?;
    let mut answer = [0; 4];
    assert!(tokio::time::timeout(SILENCE, stream.read_exact(&mut answer)).await.is_err());
    proxy.set(Weather::default());
    tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"held");

    proxy.set(Weather { latency: Duration::from_millis(150), ..Weather::default() });
    let started = Instant::now();
    says(&mut stream, b"late").await?;
    assert!(started.elapsed() >= Duration::from_millis(300), "both ways");
    assert_eq!(proxy.passed(), 2 * (4 + 4 + 4));
    Ok(())
}

#[tokio::test]
async fn a_proxy_cuts_after_the_given_byte() -> Result<()> {
    let proxy = echo().await?;
    for limit in [0_u64, 1, 5] {
        proxy.set(Weather { cut: Some((Direction::ToServer, limit)), ..Weather::default() });
        let before = proxy.passed();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        stream.write_all(b"0123456789").await?;
        let mut answer = Vec::new();
        // The reset may come before the echo; what counts is that the connection ends and nothing more has passed.
        let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await?;
        assert!(ended.is_err() || answer.len() as u64 <= limit, "{answer:?}");
        assert!((limit..=2 * limit).contains(&(proxy.passed() - before)), "limit {limit}");
    }
    proxy.set(Weather::default());
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    says(&mut stream, b"whole").await?;
    proxy.cut();
    assert!(tokio::time::timeout(LIMIT, stream.read(&mut [0; 1])).await?.is_err(), "reset, not closed");
    Ok(())
}

#[tokio::test]
async fn a_proxy_refuses_new_connections_and_keeps_open_ones() -> Result<()> {
    let proxy = echo().await?;
    let mut open = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    says(&mut open, b"one").await?;
    proxy.set(Weather { refuse: true, ..Weather::default() });
    eventually("connections to be refused", LIMIT, || async {
        Ok(TcpStream::connect(("127.0.0.1", proxy.port())).await.err().map(drop))
    })
    .await?;
    says(&mut open, b"two").await?;
    proxy.set(Weather::default());
    eventually("connections to be accepted", LIMIT, || async {
        Ok(TcpStream::connect(("127.0.0.1", proxy.port())).await.ok().map(drop))
    })
    .await
}
