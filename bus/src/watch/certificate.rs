//! Reads the dates of the certificates that servers show: one handshake twice a day, and nothing is sent in it.
//!
//! The drivers of RabbitMQ, PostgreSQL and HTTP verify certificates and keep them to themselves, so this asks by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
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

use crate::server::App;

/// A certificate lasts for weeks.
const AGAIN: Duration = Duration::from_secs(12 * 3600);
/// One server is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that shows a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The system, or "broker".
    pub name: String,
    pub host: String,
    pub port: u16,
    /// PostgreSQL is asked for TLS in its own words first.
    pub postgres: bool,
}

impl Peer {
    /// From an address; `None` where it is not encrypted.
    pub fn of(name: &str, url: &url::Url) -> Option<Self> {
        let (port, postgres) = match url.scheme() {
            "https" => (443, false),
            "amqps" => (5671, false),
            "postgres" | "postgresql" => (5432, true),
            _ => return None,
        };
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Self { name: name.to_owned(), host, port: url.port().unwrap_or(port), postgres })
    }
}

/// Looks at every peer, twice a day.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let work = async {
        loop {
            for peer in &app.oversight.peers {
                let remedy = "renew it at the server (or at whoever issues it); nothing has failed yet";
                match tokio::time::timeout(PATIENCE, ends(peer)).await {
                    Ok(Ok(Some(ends))) => {
                        let sign = certificate(ends, Moment::now());
                        app.incidents.judge(Kind::CertificateEnding, &peer.name, sign, remedy);
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
    if peer.postgres {
        // SSLRequest: length 8, code 80877103; the answer is one letter.
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
        match stream.read_u8().await? {
            b'S' => {}
            b'N' => return Ok(None),
            _ => bail!("no PostgreSQL server"),
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
        let peer = |url: &str| Peer::of("x", &url.parse().unwrap()).map(|p| (p.host, p.port, p.postgres));
        assert_eq!(peer("https://shop.example/api"), Some(("shop.example".into(), 443, false)));
        assert_eq!(peer("amqps://bus@[::1]:5999/prod"), Some(("::1".into(), 5999, false)));
        assert_eq!(peer("postgres://u@db/erp"), Some(("db".into(), 5432, true)));
        assert_eq!(peer("http://shop.example"), None);
        assert_eq!(peer("sqlite:/x.db"), None);
    }
}
