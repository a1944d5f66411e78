//! The broker's URL, parsed once; printed without its password.

use std::fmt;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::OptionsError;

/// Longer bodies go in several frames. lapin's buffers hold 32 of the longest, per connection and direction, and go
/// through all of their memory; a message's headers must fit into one.
const FRAME_BYTES: u32 = 64 * 1024;

/// Where the broker is and who we are there.
///
/// lapin's own parser is not used: it turns an IPv6 literal into `localhost`, reads a trailing slash as the virtual
/// host with the empty name, and its errors repeat the URL with the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) vhost: String,
    pub(crate) user: String,
    password: String,
}

impl Address {
    /// Reads a URL; errors never repeat it.
    pub(crate) fn parse(text: &str) -> Result<Self, OptionsError> {
        let bad = |what: &str| OptionsError::Url(what.to_owned());
        let url = Url::parse(text).map_err(|error| OptionsError::Url(format!("is not a URL ({error})")))?;
        let tls = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(OptionsError::Url(format!("begins with {other}://, not amqp:// or amqps://"))),
        };
        let decode = |part: &str, what: &str| {
            let text = percent_decode_str(part).decode_utf8().map(|text| text.into_owned());
            text.map_err(|_| OptionsError::Url(format!("has a {what} that is not UTF-8 when percent-decoded")))
        };
        let host = decode(url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("has no host"))?, "host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let vhost = match url.path().trim_start_matches('/') {
            "" => "/".to_owned(),
            name if name.contains('/') => return Err(bad("has a vhost with a slash; write the slash as %2F")),
            name => decode(name, "vhost")?,
        };
        if vhost.len() > 255 {
            return Err(bad("has a vhost of more than 255 bytes"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("has parameters after '?' or '#'; heartbeat and timeouts are options of their own"));
        }
        let user = match url.username() {
            "" => "guest".to_owned(),
            name => decode(name, "user")?,
        };
        let password = url.password().map_or_else(|| Ok("guest".to_owned()), |text| decode(text, "password"))?;
        let port = url.port().unwrap_or(if tls { 5671 } else { 5672 });
        Ok(Self { tls, host, port, vhost, user, password })
    }

    /// The same for lapin, which asks for the heartbeat in seconds.
    pub(crate) fn to_uri(&self, heartbeat_seconds: u16) -> AMQPUri {
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: self.user.clone(), password: self.password.clone() },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(heartbeat_seconds),
                frame_max: Some(FRAME_BYTES),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// `amqps://host:5671/vhost`: neither user nor password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        let vhost = if self.vhost == "/" { "" } else { self.vhost.as_str() };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}/{vhost}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}/{vhost}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_that_operators_write() {
        for (url, printed, vhost, user, password) in [
            ("amqp://localhost", "amqp://localhost:5672/", "/", "guest", "guest"),
            ("amqp://bus:s3cret@rabbit-1/", "amqp://rabbit-1:5672/", "/", "bus", "s3cret"),
            ("amqps://bus:a%2Fb@10.0.0.1/prod", "amqps://10.0.0.1:5671/prod", "prod", "bus", "a/b"),
            ("amqp://u:p@[::1]:5673/%2F", "amqp://[::1]:5673/", "/", "u", "p"),
            ("amqp://%D1%88:%D1%8F@h/%D1%82", "amqp://h:5672/т", "т", "ш", "я"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!((address.vhost.as_str(), address.user.as_str()), (vhost, user));
            assert_eq!(address.password, password);
        }
        assert_eq!(Address::parse("amqp://[::1]").unwrap().to_uri(10).authority.host, "::1");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, words) in [
            ("http://bus:s3cret@h", "http://"),
            ("amqp://bus:s3cret@h:99999/", "not a URL"),
            ("amqp://bus:s3cret@h/a/b", "%2F"),
            ("amqp://bus:s3cret@h/?heartbeat=3", "parameters"),
            ("bus:s3cret", "bus://"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(words), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", Address::parse("amqp://bus:s3cret@h").unwrap()).contains("s3cret"));
    }
}
