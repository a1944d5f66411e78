//! A mail by SMTP.

use anyhow::Context;
use async_trait::async_trait;
use bus_config::Way as Configured;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use url::Url;

use super::Way;
use super::message::Message;

pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Email {
    /// Reads password and certificate; connects to nothing. Every mail opens a connection of its own.
    pub fn new(configured: &Configured, what: &str) -> anyhow::Result<Self> {
        let Configured::Email { server, ca, from, to, login } = configured else {
            anyhow::bail!("{what} is no e-mail")
        };
        let host = server.host_str().context("a mail server without a name")?.to_owned();
        let (port, tls) = match server.scheme() {
            "smtps" => (465, Tls::Wrapper(parameters(&host, ca.as_deref(), what)?)),
            "smtp+starttls" => (587, Tls::Required(parameters(&host, ca.as_deref(), what)?)),
            _ => (25, Tls::None),
        };
        let port = Url::port(server).unwrap_or(port);
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port).tls(tls).timeout(Some(super::TRY));
        if let Some((user, password)) = login {
            let password = password.load().with_context(|| format!("the password of {what}"))?;
            transport = transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        let mailbox = |address: &String| {
            address.parse::<Mailbox>().with_context(|| format!("{what}: `{address}` is not a mail address"))
        };
        let to = to.iter().map(mailbox).collect::<anyhow::Result<_>>()?;
        Ok(Self { transport: transport.build(), from: mailbox(from)?, to })
    }
}

fn parameters(host: &str, ca: Option<&std::path::Path>, what: &str) -> anyhow::Result<TlsParameters> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        let pem = std::fs::read(path).with_context(|| format!("the authority of {what}: {}", path.display()))?;
        parameters = parameters.add_root_certificate(Certificate::from_pem(&pem).with_context(|| what.to_owned())?);
    }
    parameters.build().with_context(|| what.to_owned())
}

#[async_trait]
impl Way for Email {
    async fn send(&self, message: &Message) -> Result<(), String> {
        let mut mail = lettre::Message::builder().from(self.from.clone()).subject(&message.subject);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let mail =
            mail.header(ContentType::TEXT_PLAIN).body(message.text.clone()).map_err(|error| error.to_string())?;
        self.transport.send(mail).await.map(drop).map_err(|error| format!("the mail server: {error}"))
    }
}
