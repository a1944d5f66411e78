//! Why a server's certificate is not accepted, in words and with what to do: rustls says it deep inside of other errors.

use std::error::Error as StdError;

use rustls::CertificateError;

/// What is wrong with a certificate, if that is what an error is about.
pub(crate) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error names what its content comes from as its source, and not its content; they may lie in each other.
        let mut inner = error;
        while let Some(content) = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            inner = content;
        }
        if let Some(rustls::Error::InvalidCertificate(reason)) = inner.downcast_ref() {
            return Some(words(reason));
        }
        next = error.source();
    }
    None
}

fn words(reason: &CertificateError) -> String {
    match reason {
        // A bad signature: the configured authority has the name of the one that signed, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no authority that is trusted here signed it; put the one that did (PEM) into a file and name it as `ca` of \
             the system"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired (or the clock of this machine is wrong); renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clock of this machine".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not for the name in the address; use a name that it carries, or issue one that carries this name"
                .to_owned()
        }
        other => other.to_string(),
    }
}
