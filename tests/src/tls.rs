//! A certificate authority made for one test.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// PEM texts of an authority and of a server at `localhost` and 127.0.0.1 that it vouches for.
pub struct Certificates {
    /// What a client must trust.
    pub authority: String,
    /// What the server shows.
    pub server: String,
    /// The server's key.
    pub server_key: String,
}

impl Certificates {
    /// A new authority, valid for as long as any test.
    pub fn new() -> Result<Self> {
        Self::with(None)
    }

    /// The server's certificate ends after this time.
    pub fn ending(after: Duration) -> Result<Self> {
        Self::with(Some(after))
    }

    fn with(ends: Option<Duration>) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);

        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.distinguished_name.push(DnType::CommonName, "localhost");
        if let Some(after) = ends {
            params.not_after = (SystemTime::now() + after).into();
        }
        let key = KeyPair::generate()?;
        let server = params.signed_by(&key, &issuer)?.pem();
        Ok(Self { authority, server, server_key: key.serialize_pem() })
    }
}
