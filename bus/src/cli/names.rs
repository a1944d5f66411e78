//! Names and times as arguments.

use std::time::Duration;

use bus_core::vocabulary::{RouteName, StreamName, SubscriptionName, SystemName};

pub fn route(text: &str) -> Result<RouteName, String> {
    RouteName::new(text).map_err(|error| error.to_string())
}

pub fn stream(text: &str) -> Result<StreamName, String> {
    StreamName::new(text).map_err(|error| error.to_string())
}

pub fn system(text: &str) -> Result<SystemName, String> {
    SystemName::new(text).map_err(|error| error.to_string())
}

pub fn subscription(text: &str) -> Result<SubscriptionName, String> {
    SubscriptionName::new(text).map_err(|error| error.to_string())
}

pub fn duration(text: &str) -> Result<Duration, String> {
    bus_core::policy::parse_duration(text).map_err(|error| error.to_string())
}
