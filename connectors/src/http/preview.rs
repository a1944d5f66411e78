//! The request that a target would send, looked at and not sent.

use bus_core::ports::target::Parcel;
use bus_core::vocabulary::{DeliveryError, Fault};
use bytes::Bytes;

use super::HttpTarget;

/// A request that was made and not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The method.
    pub method: String,
    /// Path and query as they are sent, without the system's own address.
    pub path: String,
    /// Names in small letters, sorted; `***` stands for what is secret.
    pub headers: Vec<(String, String)>,
    /// Empty for a DELETE.
    pub body: Bytes,
}

impl HttpTarget {
    /// What would be sent for parcels that share a request, or for one, by the very code that sends it. `None`: nothing,
    /// because the receiver never had what is to be deleted, or because several share no request here.
    pub fn preview(&self, parcels: &[Parcel]) -> Result<Option<Preview>, DeliveryError> {
        let Some(composed) = self.compose_any(parcels)? else { return Ok(None) };
        let request = composed.builder.build().map_err(|error| {
            DeliveryError::new(Fault::Rejected, format!("no request can be made of it: {}", error.without_url()))
        })?;
        let shown = request.headers().iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), if value.is_sensitive() { "***".to_owned() } else { text.into_owned() })
        });
        let mut headers: Vec<(String, String)> = shown.collect();
        headers.sort();
        let body = request.body().and_then(|body| body.as_bytes()).map(Bytes::copy_from_slice).unwrap_or_default();
        Ok(Some(Preview {
            method: request.method().to_string(),
            path: self.client.path_of(request.url()),
            headers,
            body,
        }))
    }
}
