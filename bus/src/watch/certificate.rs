//! Reads the dates of the certificates that servers show: one handshake twice a day, and nothing is sent in it.
//!
//! The drivers of RabbitMQ, PostgreSQL and HTTP verify certificates and keep them to themselves, so this asks by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bus_config::{Broker as BrokerChoice, HttpSystem, Landscape, OdataSystem, SystemKind};
use bus_core::engine::incident::Kind;
use bus_core::policy::certificate;
use bus_core::vocabulary::Moment;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Oversight;
use crate::wire::secrets::secret_url;

/// A certificate lasts for weeks.
const AGAIN: Duration = Duration::from_secs(12 * 3600);
/// One server is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer of a mail server.
const GREETING: usize = 16 * 1024;

/// A server that shows a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The system, or "broker".
    pub name: String,
    pub host: String,
    pub port: u16,
    /// What is said before.
    pub hello: Hello,
}

/// How a server is asked for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// It speaks it from the first byte.
    None,
    /// In PostgreSQL's own words.
    Postgres,
    /// By a mail server's STARTTLS.
    Mail,
}

impl Peer {
    /// From an address; `None` where it is not encrypted.
    pub fn of(name: &str, url: &url::Url) -> Option<Self> {
        let (port, hello) = match url.scheme() {
            "https" => (443, Hello::None),
            "amqps" => (5671, Hello::None),
            "smtps" => (465, Hello::None),
            "smtp+starttls" => (587, Hello::Mail),
            "postgres" | "postgresql" => (5432, Hello::Postgres),
            _ => return None,
        };
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Self { name: name.to_owned(), host, port: url.port().unwrap_or(port), hello })
    }
}

/// Servers that show a certificate.
pub fn peers(landscape: &Landscape) -> Vec<Peer> {
    let mut addresses = Vec::new();
    if let BrokerChoice::Amqp { url, .. } = &landscape.bus.broker {
        addresses.push(("broker", url));
    }
    for system in &landscape.systems {
        let (SystemKind::Http(HttpSystem { url, .. })
        | SystemKind::Sql { url, .. }
        | SystemKind::Odata(OdataSystem { url, .. })) = &system.kind;
        addresses.push((system.name.as_str(), url));
    }
    let mut peers = Vec::new();
    for (name, url) in addresses {
        // What is not there or is no address is told by whoever needs it: an unused system stops nothing.
        let url = secret_url(url, name).ok().and_then(|url| url::Url::parse(url.expose()).ok());
        peers.extend(url.and_then(|url| Peer::of(name, &url)));
    }
    for channel in &landscape.notify {
        if let bus_config::Way::Email { server, .. } = &channel.way {
            peers.extend(Peer::of(&channel.name, server));
        }
    }
    peers
}

/// Looks at every peer, twice a day.
pub async fn run(oversight: Arc<Oversight>, stop: CancellationToken) {
    let work = async {
        loop {
            for peer in &oversight.peers {
                let remedy = "renew it at the server (or at whoever issues it); nothing has failed yet";
                match tokio::time::timeout(PATIENCE, ends(peer)).await {
                    Ok(Ok(Some(ends))) => {
                        let sign = certificate(ends, Moment::now());
                        oversight.workshop.incidents.judge(Kind::CertificateEnding, &peer.name, sign, remedy);
                    }
                    Ok(Ok(None)) => {}
                    // That it cannot be reached is for whoever works with it to say.
                    Ok(Err(error)) => tracing::debug!(peer = peer.name, "no certificate seen: {error:#}"),
                    Err(_) => tracing::debug!(peer = peer.name, "no certificate seen within {PATIENCE:?}"),
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(work).await;
}

/// When the certificate of a server ends; `None` where it speaks without one.
async fn ends(peer: &Peer) -> anyhow::Result<Option<Moment>> {
    let mut stream = TcpStream::connect((peer.host.as_str(), peer.port)).await?;
    match peer.hello {
        Hello::None => {}
        Hello::Postgres => {
            // SSLRequest: length 8, code 80877103; the answer is one letter.
            stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
            match stream.read_u8().await? {
                b'S' => {}
                b'N' => return Ok(None),
                _ => bail!("no PostgreSQL server"),
            }
        }
        Hello::Mail => {
            said(&mut stream, "220").await?;
            stream.write_all(b"EHLO bus\r\n").await?;
            said(&mut stream, "250").await?;
            stream.write_all(b"STARTTLS\r\n").await?;
            said(&mut stream, "220").await?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Looking))
        .with_no_client_auth();
    let name = ServerName::try_from(peer.host.clone())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("no certificate was shown")?;
    not_after(shown).map(Some)
}

/// Reads an answer of a mail server, which may be of several lines: `250-…`, `250 …`. Byte by byte, so that nothing of what
/// follows is taken; nobody's greeting is longer than the bound.
async fn said(stream: &mut TcpStream, code: &str) -> anyhow::Result<()> {
    let mut line = Vec::new();
    for _ in 0..GREETING {
        let byte = stream.read_u8().await?;
        line.push(byte);
        if byte != b'\n' {
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let Some(rest) = text.strip_prefix(code) else { bail!("the mail server does not say {code}") };
        if !rest.starts_with('-') {
            return Ok(());
        }
        line.clear();
    }
    bail!("the mail server does not come to an end")
}

fn not_after(certificate: &CertificateDer<'_>) -> anyhow::Result<Moment> {
    let (_, parsed) = X509Certificate::from_der(certificate).context("not a certificate")?;
    Ok(Moment(parsed.validity().not_after.timestamp().saturating_mul(1000)))
}

/// Believes anything: nothing is sent over these connections, and an ended certificate is what we look for.
#[derive(Debug)]
struct Looking;

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_encrypted_addresses_show_certificates() {
        let peer = |url: &str| Peer::of("x", &url.parse().unwrap()).map(|p| (p.host, p.port, p.hello));
        assert_eq!(peer("https://shop.example/api"), Some(("shop.example".into(), 443, Hello::None)));
        assert_eq!(peer("amqps://bus@[::1]:5999/prod"), Some(("::1".into(), 5999, Hello::None)));
        assert_eq!(peer("postgres://u@db/erp"), Some(("db".into(), 5432, Hello::Postgres)));
        assert_eq!(peer("smtps://mail.example"), Some(("mail.example".into(), 465, Hello::None)));
        assert_eq!(peer("smtp+starttls://mail.example"), Some(("mail.example".into(), 587, Hello::Mail)));
        assert_eq!(peer("smtp://mail.example"), None);
        assert_eq!(peer("http://shop.example"), None);
        assert_eq!(peer("sqlite:/x.db"), None);
    }
}
