//! What went wrong at the broker, in an operator's words and with a remedy.

use std::io;
use std::time::Duration;

use lapin::ErrorKind;
use rustls::CertificateError;

use crate::address::Address;

/// Why one exchange with the broker did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The broker or the connection said no.
    #[error("{}", words(.0))]
    Broker(#[from] lapin::Error),
    /// No answer in time.
    #[error("no answer to {what} within {} s", .limit.as_secs_f32())]
    Silence {
        /// What was asked.
        what: &'static str,
        /// How long we waited.
        limit: Duration,
    },
}

impl Failure {
    /// The AMQP reply code, where the broker gave one (404: not found, 406: precondition failed).
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Failure::Broker(error) => reply_code(error),
            Failure::Silence { .. } => None,
        }
    }
}

fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// lapin's error in our words. The broker's own text is kept: it names queue, argument or vhost.
fn words(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => format!("the broker answered {}: {}", error.get_id(), error.get_message()),
        ErrorKind::IOError(error) => format!("the connection broke: {error}"),
        ErrorKind::MissingHeartbeatError => "the broker has been silent for two heartbeats".to_owned(),
        ErrorKind::InvalidConnectionState(_) | ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => {
            "the connection has ended".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why TCP or TLS did not come about.
pub(crate) fn transport(error: &io::Error, address: &Address, own_authority: bool) -> String {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return format!("TLS with {address} failed: {}", tls(error, address, own_authority));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{address} refuses the connection: nothing listens there; start RabbitMQ, or correct host and port")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset if address.tls => format!(
            "{address} closed the connection during the TLS handshake: use the port of the TLS listener (5671 by \
             custom), or amqp:// without TLS"
        ),
        _ => format!("{address} cannot be reached: {error}"),
    }
}

fn tls(error: &rustls::Error, address: &Address, own_authority: bool) -> String {
    match error {
        // A bad signature: the configured CA has the name of the one that signed, and another key.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
            if own_authority =>
        {
            "the broker's certificate was not signed by the configured CA; put the CA that signed it into the CA file"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no authority of this system signed the broker's certificate; name the CA that did as the broker's CA file"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the broker's certificate has expired (or this machine's clock is wrong); renew it".to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the broker's certificate is not valid yet; check the clock of this machine".to_owned(),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the broker's certificate is not for the name {}; use a name that it carries, or issue one with this name \
             among its subject alternative names",
            address.host
        ),
        rustls::Error::InvalidMessage(_) => {
            "what listens there does not speak TLS; use the port of the TLS listener (5671 by custom), or amqp://"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Why the AMQP handshake did not come about.
pub(crate) fn handshake(error: &lapin::Error, address: &Address) -> String {
    match (reply_code(error), error.kind()) {
        (Some(403), _) => format!(
            "{address} refuses user {:?}: wrong password or no such user (the user guest may log in from localhost only)",
            address.user
        ),
        (Some(530), ErrorKind::ProtocolError(refusal)) => format!(
            "{address} refuses the virtual host {:?} to user {:?} ({}): create it or grant it with rabbitmqctl \
             set_permissions -p VHOST USER '.*' '.*' '.*'",
            address.vhost,
            address.user,
            refusal.get_message()
        ),
        // A TLS listener answers our plain greeting with an alert, which is no frame, or hangs up: whichever is first.
        (None, ErrorKind::IOError(_) | ErrorKind::ParsingError(_)) if !address.tls => format!(
            "{address} broke off the handshake ({error}): is this the port of a TLS listener? then use amqps://"
        ),
        _ => format!("{address} did not complete the handshake: {}", words(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_tls_failure_names_its_remedy() {
        let address = Address::parse("amqps://bus:s3cret@rabbit-1").unwrap();
        for (error, own, words) in [
            (CertificateError::UnknownIssuer, true, "CA file"),
            (CertificateError::BadSignature, true, "CA file"),
            (CertificateError::UnknownIssuer, false, "name the CA"),
            (CertificateError::Expired, true, "renew"),
            (CertificateError::NotValidYet, true, "clock"),
            (CertificateError::NotValidForName, true, "rabbit-1"),
        ] {
            let error = io::Error::other(rustls::Error::InvalidCertificate(error));
            let text = transport(&error, &address, own);
            assert!(text.contains(words) && !text.contains("s3cret"), "{text}");
        }
    }
}
