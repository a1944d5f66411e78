//! A certificate authority made for one test, and servers that show what it issued.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Who signs.
pub struct Authority {
    /// What a client must trust (PEM).
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate and its key (PEM).
pub struct Issued {
    /// What the server shows.
    pub certificate: String,
    /// The server's key.
    pub key: String,
}

/// An authority and one server that it vouches for, as PEM texts.
pub struct Certificates {
    /// What a client must trust.
    pub authority: String,
    /// What the server at `localhost` and 127.0.0.1 shows.
    pub server: String,
    /// The server's key.
    pub server_key: String,
}

impl Certificates {
    /// Valid for as long as any test.
    pub fn new() -> Result<Self> {
        let authority = Authority::new()?;
        let issued = authority.issue()?;
        Ok(Self { authority: authority.pem, server: issued.certificate, server_key: issued.key })
    }

    /// The server's certificate ends after this time.
    pub fn ending(after: Duration) -> Result<Self> {
        let authority = Authority::new()?;
        let mut params = local()?;
        params.not_after = (SystemTime::now() + after).into();
        let issued = authority.sign(params)?;
        Ok(Self { authority: authority.pem, server: issued.certificate, server_key: issued.key })
    }
}

fn local() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    Ok(params)
}

impl Authority {
    /// A new authority, valid for as long as any test.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// For a server at `localhost` and 127.0.0.1.
    pub fn issue(&self) -> Result<Issued> {
        self.sign(local()?)
    }

    /// For another server.
    pub fn issue_for(&self, name: &str) -> Result<Issued> {
        self.sign(CertificateParams::new(vec![name.to_owned()])?)
    }

    /// For a server at `localhost`, years ago.
    pub fn issue_expired(&self) -> Result<Issued> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Issued> {
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}

/// What is said before TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Nothing: TLS from the first byte.
    None,
    /// PostgreSQL: the client asks for TLS, the server agrees.
    Postgres,
}

/// Accepts TLS connections with this certificate for as long as the test runs, answers each with 200, and returns the
/// port. After a refused certificate the client hangs up: that is what it is for.
pub fn server(issued: &Issued, greeting: Greeting) -> Result<u16> {
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
    let port = listener.local_addr()?.port();
    std::thread::Builder::new().name("tls".into()).spawn(move || {
        for stream in listener.incoming() {
            // One connection that ends badly is not the end of the server.
            let _ = stream.context("accepting").and_then(|mut stream| {
                if greeting == Greeting::Postgres {
                    stream.read_exact(&mut [0; 8])?;
                    stream.write_all(b"S")?;
                }
                let mut connection = rustls::ServerConnection::new(Arc::clone(&config))?;
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                let read = tls.read(&mut [0; 4096])?;
                if read > 0 {
                    tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
                }
                connection.send_close_notify();
                Ok(connection.complete_io(&mut stream)?)
            });
        }
    })?;
    Ok(port)
}
