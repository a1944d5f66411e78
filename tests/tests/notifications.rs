//! People are told: by webhook, Telegram and mail, once for each cause, over restarts, and not during maintenance.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Entry, Receiver, Rule, Script};
use bus_tests::servers::Smtp;
use bus_tests::tls::{Authority, Certificates};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(40);

/// A shop with two routes, and channels.
fn routes(bus: &Bus, shop: &Receiver, broker: &str, channels: &str) -> String {
    format!(
        r#"
        [bus]
        name = "проверка"
        {broker}
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [routes.a]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/a/{{key}}" }}
        [routes.b]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/b/{{key}}" }}
        {channels}
        "#,
        bus.listen(),
        shop.url()
    )
}

async fn push(bus: &Bus, body: &str) -> Result<()> {
    bus.pushed("orders", body).await
}

/// What came at a path of the people's receiver, once there are so many.
async fn told(people: &Receiver, path: &str, count: usize) -> Result<Vec<Entry>> {
    eventually(&format!("{count} messages at {path}"), LIMIT, || async {
        let entries: Vec<_> = people.ledger()?.entries.iter().filter(|entry| entry.path == path).cloned().collect();
        Ok((entries.len() >= count).then_some(entries))
    })
    .await
}

bus_tests::over_both_brokers!(a_dead_shop_is_told_once_everywhere_and_so_is_its_end);

async fn a_dead_shop_is_told_once_everywhere_and_so_is_its_end(rabbit: Option<String>) -> Result<()> {
    let nothing = Script::default();
    let (shop, people, smtp) = tokio::join!(Receiver::start(&nothing), Receiver::start(&nothing), Smtp::start());
    let (shop, people, smtp) = (shop?, people?, smtp?);
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    bus.env("BOT", "12345:bot-secret");
    bus.env("HOOK_KEY", "hook-secret");
    let tell = r#"{ wait = "1s", repeat = "1h" }"#;
    bus.routes(&routes(
        &bus,
        &shop,
        broker,
        &format!(
            r#"
            [notify.hook]
            kind = "webhook"
            url = "{0}/hook"
            headers = {{ X-Api-Key = {{ env = "HOOK_KEY" }} }}
            tell = {tell}
            [notify."чат"]
            kind = "telegram"
            token = {{ env = "BOT" }}
            chat = "-1001"
            url = "{0}"
            tell = {tell}
            [notify.mail]
            kind = "email"
            server = "{1}"
            ca = "{2}"
            from = "Шина <bus@shop.example>"
            to = ["ops@shop.example", "boss@shop.example"]
            tell = {tell}
            "#,
            people.url(),
            smtp.url(),
            smtp.authority().display()
        ),
    ))?;
    bus.start().await?;
    shop.down(None).await?;
    push(&bus, r#"[{"id":"ключ-77"},{"id":"ключ-78"}]"#).await?;

    let hook = told(&people, "/hook", 1).await?;
    assert_eq!(hook[0].headers["x-api-key"], "hook-secret");
    let body: Value = serde_json::from_str(&hook[0].body)?;
    assert_eq!((&body["bus"], &body["incidents"][0]["subject"]), (&json!("проверка"), &json!("shop")));
    assert_eq!(body["incidents"][0]["routes"], json!(["a", "b"]));
    let chat = told(&people, "/bot12345:bot-secret/sendMessage", 1).await?;
    let message: Value = serde_json::from_str(&chat[0].body)?;
    assert_eq!(message["chat_id"], "-1001");
    let text = message["text"].as_str().context("text")?;
    assert!(
        text.contains("CRITICAL system-down shop") && text.contains("what to do:") && !text.contains("ключ-7"),
        "{text}"
    );
    let mail = eventually("the mail", LIMIT, || async {
        let mails = smtp.mails().await?;
        Ok(mails.first().cloned())
    })
    .await?;
    assert!(mail.contains("Subject:[проверка] system-down shop") && mail.contains("boss@shop.example"), "{mail}");
    assert!(mail.contains("routes that wait: a, b"), "{mail}");

    // A restart tells nothing anew; the end is told once.
    bus.kill9();
    bus.start().await?;
    push(&bus, r#"{"id":"ключ-79"}"#).await?;
    shop.up().await?;
    let hook = told(&people, "/hook", 2).await?;
    let body: Value = serde_json::from_str(&hook[1].body)?;
    assert_eq!(
        body["incidents"],
        json!([
            { "state": "resolved", "kind": "system-down", "severity": "critical", "subject": "shop" }
        ])
    );
    let chat = told(&people, "/bot12345:bot-secret/sendMessage", 2).await?;
    assert!(chat[1].body.contains("resolved: system-down shop"), "{}", chat[1].body);
    // Counted a moment after the answer.
    let counted = r#"bus_notifications_total{channel="hook",result="ok"} 1"#;
    let metrics = eventually(counted, LIMIT, || async {
        let metrics = bus.metrics().await?;
        Ok(metrics.contains(counted).then_some(metrics))
    })
    .await?;
    assert!(!metrics.contains("secret"));
    assert_eq!((told(&people, "/hook", 2).await?.len(), chat.len()), (2, 2), "no more than that");
    Ok(())
}

#[tokio::test]
async fn who_cannot_be_told_shows_in_status_and_holds_up_nobody() -> Result<()> {
    let nothing = Script::default();
    let (shop, people) = tokio::join!(Receiver::start(&nothing), Receiver::start(&nothing));
    let (shop, people) = (shop?, people?);
    let refuse = Rule { path: Some("/bot".into()), ..Rule::always(Answer::Status { code: 403, retry_after: None }) };
    people.set_script(&Script { rules: vec![refuse], ..Script::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.env("BOT", "12345:bot-secret");
    let channels = format!(
        "[notify.chat]\nkind = \"telegram\"\ntoken = {{ env = \"BOT\" }}\nchat = \"7\"\nurl = \"{}\"\ntell = {{ wait = \"0s\" }}",
        people.url()
    );
    bus.routes(&routes(&bus, &shop, "", &channels))?;
    bus.start().await?;
    // Maintenance first: nobody is told at all.
    let begin = ["maintenance", "start", "--system", "shop", "--for", "1h", "--why", "диск"];
    ensure!(bus.run(&begin).await?.status.success());
    shop.down(None).await?;
    push(&bus, r#"{"id":1}"#).await?;
    let metrics = |part: &'static str| {
        let bus = &bus;
        eventually(part, LIMIT, move || async move { Ok(bus.metrics().await?.contains(part).then_some(())) })
    };
    metrics(r#"bus_incident_open{kind="system-down",subject="shop"} 1"#).await?;
    assert!(people.ledger()?.entries.is_empty(), "told during maintenance");
    ensure!(bus.run(&["maintenance", "end", "1"]).await?.status.success());
    metrics(r#"bus_notify_failing{channel="chat"} 1"#).await?;
    let page = String::from_utf8(bus.run(&["status"]).await?.stdout)?;
    assert!(page.contains("REACHES NOBODY: Telegram answered 403") && !page.contains("bot-secret"), "{page}");
    let log = bus.log().context("log")?.tail(2000);
    assert!(log.contains("nobody could be told") && !log.contains("bot-secret"), "{log}");
    // And the bus itself goes on.
    shop.up().await?;
    shop.applied(2, LIMIT).await.map(drop)
}

#[tokio::test]
async fn a_mail_server_is_believed_by_its_certificate_and_signed_in_to_behind_it() -> Result<()> {
    let (certificates, others) = (Certificates::ending(Duration::from_secs(5 * 86_400 + 3600))?, Certificates::new()?);
    // Of an authority that is trusted, for another server.
    let authority = Authority::new()?;
    let issued = authority.issue_for("mail.example")?;
    let named = Certificates { authority: authority.pem, server: issued.certificate, server_key: issued.key };
    let nothing = Script::default();
    let (shop, guarded, plain) =
        tokio::join!(Receiver::start(&nothing), Smtp::guarded(&certificates, "mail-secret"), Smtp::with(&named));
    let (shop, guarded, plain) = (shop?, guarded?, plain?);
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.env("MAIL", "mail-secret");
    bus.env("WRONG", "another-secret");
    let strange = bus.directory().join("strange.pem");
    std::fs::write(&strange, &others.authority)?;
    let starttls = guarded.url().replace("smtps:", "smtp+starttls:");
    let channel = |name: &str, server: &str, ca: &std::path::Path, password: &str| {
        format!(
            "[notify.{name}]\nkind = \"email\"\nserver = \"{server}\"\nca = \"{}\"\nfrom = \"bus@shop.example\"\n\
             to = \"{name}@shop.example\"\nuser = \"bus\"\npassword = {{ env = \"{password}\" }}\ntell = {{ wait = \"0s\" }}\n",
            ca.display()
        )
    };
    let ca = guarded.authority();
    let channels = [
        channel("right", &starttls, &ca, "MAIL"),
        channel("wrong", &starttls, &ca, "WRONG"),
        channel("stranger", &starttls, &strange, "MAIL"),
        channel("elsewhere", &plain.url(), &plain.authority(), "MAIL"),
    ];
    bus.routes(&routes(&bus, &shop, "", &channels.concat()))?;
    bus.start().await?;
    shop.down(None).await?;
    push(&bus, r#"{"id":1}"#).await?;
    let mail = eventually("the mail", LIMIT, || async { Ok(guarded.mails().await?.first().cloned()) }).await?;
    assert!(mail.contains("right@shop.example") && mail.contains("Subject:[проверка]"), "{mail}");
    let metrics = eventually("the others to fail", LIMIT, || async {
        let metrics = bus.metrics().await?;
        for name in ["wrong", "stranger", "elsewhere"] {
            let failing = format!("bus_notify_failing{{channel=\"{name}\"}} 1");
            ensure!(metrics.contains(&failing), "{name} does not fail");
        }
        Ok(Some(metrics))
    })
    .await?;
    assert!(metrics.contains(r#"bus_notify_failing{channel="right"} 0"#), "{metrics}");
    let page = String::from_utf8(bus.run(&["status"]).await?.stdout)?;
    assert!(page.contains("REACHES NOBODY: the mail server:") && !page.contains("-secret"), "{page}");
    assert!(guarded.mails().await?.iter().all(|mail| mail.contains("right@")) && plain.mails().await?.is_empty());
    // A password is only said behind a certificate that was believed: by the right one and the wrong one.
    let sign_ins = eventually("one mail of each right sign-in", LIMIT, || async {
        let sign_ins = guarded.sign_ins();
        let right = sign_ins.iter().filter(|note| note.ends_with("right=True")).count();
        let mails = guarded.mails().await?.len();
        ensure!(right == mails, "{mails} mails: {sign_ins:?}");
        Ok(Some(sign_ins))
    })
    .await?;
    assert!(sign_ins.iter().all(|note| note.contains("encrypted=True")), "{sign_ins:?}");
    // And its certificate is looked at, too.
    let part = r#"bus_incident_open{kind="certificate-ending",subject="right"} 1"#;
    eventually(part, LIMIT, || async { Ok(bus.metrics().await?.contains(part).then_some(())) }).await?;
    let log = bus.log().context("log")?.tail(5000);
    assert!(!log.contains("-secret"), "{log}");
    Ok(())
}
