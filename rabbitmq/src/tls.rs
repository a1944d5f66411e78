//! Whom we believe to be the broker.

use std::path::Path;

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::OptionsError;

/// A TLS connector that trusts the authority in `ca_file` and no other, or the operating system's.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<RustlsConnector, OptionsError> {
    let config = match ca_file {
        Some(path) => own_authority(path)?,
        None => RustlsConnectorConfig::new_with_native_certs()
            .map_err(|error| OptionsError::SystemAuthorities(error.to_string()))?,
    };
    config.connector_with_no_client_auth().map_err(|error| OptionsError::SystemAuthorities(error.to_string()))
}

fn own_authority(path: &Path) -> Result<RustlsConnectorConfig, OptionsError> {
    let bad = |reason: String| OptionsError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(format!("is not a PEM file: {error}")))?;
    if certificates.is_empty() {
        return Err(bad("holds no certificate (a block that begins with -----BEGIN CERTIFICATE-----)".to_owned()));
    }
    let mut config = RustlsConnectorConfig::default();
    config.add_parsable_certificates(certificates);
    Ok(config)
}
