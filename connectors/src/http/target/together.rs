//! Several records in one request, and a verdict for each.

use bus_core::ports::permits::Permits;
use bus_core::ports::target::Parcel;
use bus_core::vocabulary::{DeliveryError, Exchange, Fault, Receipt};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Composed, HttpTarget, answered, rejected};
use crate::closed;
use crate::http::answer::{Answer, excerpt};
use crate::http::batch::{Batch, Said, Verdicts, text};
use crate::http::classify;
use crate::http::template::Use;

type Verdict = Result<Receipt, DeliveryError>;

/// One request that has been answered.
struct Asked<'a> {
    batch: &'a Batch,
    parcels: &'a [Parcel],
    /// Method and path as configured, and how many records.
    what: String,
    /// Method and address, for a dead letter.
    line: String,
    status: StatusCode,
    headers: HeaderMap,
    answer: Answer,
}

impl HttpTarget {
    /// The request of all these; there is at least one.
    pub(super) fn compose_all(&self, batch: &Batch, parcels: &[Parcel]) -> Result<Composed<'_>, DeliveryError> {
        let Some(first) = parcels.first() else { return Err(rejected("a request of nothing".to_owned())) };
        let request = &self.send.upsert;
        let filled = request.path.fill(first, Use::Path);
        let path =
            filled.map_err(|reason| rejected(format!("{} cannot be filled: {reason}", request.path.as_str())))?;
        let headers = self.headers(first, batch.form.content_type())?;
        Ok(self.composed(request, &path, headers, Some(batch.body(parcels))))
    }

    /// One attempt, one permit. What fails as a whole says so, so that the worker can find out which record it was.
    pub(super) async fn together(&self, batch: &Batch, parcels: &[Parcel], permits: &Permits) -> Vec<Verdict> {
        let all = |error: DeliveryError| parcels.iter().map(|_| Err(error.clone().shared())).collect();
        let Composed { request, url, builder } = match self.compose_all(batch, parcels) {
            Ok(composed) => composed,
            Err(error) => return all(error),
        };
        let _permit = match permits.take().await {
            Ok(permit) => permit,
            Err(error) => return all(closed::unsent(error)),
        };
        let what = match parcels.len() {
            1 => format!("{} {}", request.method, request.path.as_str()),
            count => format!("{} {} with {count} records", request.method, request.path.as_str()),
        };
        let line = format!("{} {url}", request.method);
        match builder.timeout(self.client.timeout).send().await {
            Ok(mut response) => {
                let answer = Answer::read(&mut response, parcels.len()).await;
                let (status, headers) = (response.status(), response.headers().clone());
                self.judged(&Asked { batch, parcels, what, line, status, headers, answer })
            }
            Err(error) => {
                let (fault, reason) = classify::failure(&error.without_url());
                let failed = |parcel| self.failed(fault, format!("{what}: {reason}"), &line, parcel, None).shared();
                parcels.iter().map(|parcel| Err(failed(parcel))).collect()
            }
        }
    }

    fn judged(&self, asked: &Asked<'_>) -> Vec<Verdict> {
        let Asked { batch, parcels, status, answer, .. } = asked;
        let whole = self.fault_of_all(asked);
        // A system that takes nothing has not looked at any record.
        let looked = matches!(whole, None | Some(Fault::Busy | Fault::Rejected));
        let harms = self.harms();
        let document: Option<Value> = answer.whole.then(|| serde_json::from_slice(&answer.body).ok()).flatten();
        let found = batch.results.as_ref().filter(|_| looked);
        let found = found.map(|results| (results, results.find(document.as_ref(), parcels)));
        match (found, whole) {
            (Some((results, Verdicts::Of(items))), _) => {
                let said = parcels.iter().zip(items).map(|(parcel, item)| match (item, whole) {
                    (Some(item), _) => self.said(results.said(item, harms), item, asked, parcel),
                    (None, None) => Err(self.in_doubt(asked, parcel, "the answer says nothing of this record")),
                    (None, Some(fault)) => Err(self.of_all(fault, asked, parcel)),
                });
                said.collect()
            }
            (_, Some(fault)) => parcels.iter().map(|parcel| Err(self.of_all(fault, asked, parcel))).collect(),
            // Nothing was applied twice by asking again, and the pointer is to be corrected before more is sent.
            (Some((results, Verdicts::NoList)), None) if answer.whole && !harms => {
                let reason = format!("accepted ({status}), but the answer holds no list at {:?}", results.items);
                let wrong = |parcel| {
                    let message = format!("{}: {reason}: correct `results`", asked.what);
                    self.failed(Fault::Misconfigured, message, &asked.line, parcel, Some(status.to_string())).shared()
                };
                parcels.iter().map(|parcel| Err(wrong(parcel))).collect()
            }
            (Some((_, nothing)), None) => {
                let reason = match nothing {
                    Verdicts::Of(_) | Verdicts::NoList => "the answer holds no list of results that can be read",
                    Verdicts::OtherCount => "the answer holds another number of results than records were sent",
                };
                parcels.iter().map(|parcel| Err(self.in_doubt(asked, parcel, reason).shared())).collect()
            }
            (None, None) => parcels.iter().map(|parcel| Ok(self.receipt(None, *status, parcel))).collect(),
        }
    }

    /// `None`: a success. A server error leaves open how many of several records were taken.
    fn fault_of_all(&self, asked: &Asked<'_>) -> Option<Fault> {
        let harms = self.harms();
        if asked.status.is_success() {
            // 207 says that what matters stands in the body, of which nobody has told us how to read it.
            let unread = asked.status == StatusCode::MULTI_STATUS && asked.batch.results.is_none();
            return unread.then_some(if harms { Fault::Ambiguous } else { Fault::Misconfigured });
        }
        let fault = classify::status(asked.status.as_u16(), &asked.headers, harms, chrono::Utc::now());
        let open = harms && fault == Fault::Busy && asked.status.is_server_error() && asked.parcels.len() > 1;
        Some(if open { Fault::Ambiguous } else { fault })
    }

    fn said(&self, said: Said, item: &Value, asked: &Asked<'_>, parcel: &Parcel) -> Verdict {
        let (fault, code) = match said {
            Said::Applied(code) => {
                let status = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(asked.status);
                return Ok(self.receipt(Some(item), status, parcel));
            }
            Said::Nothing => return Err(self.in_doubt(asked, parcel, "its result says nothing of this record")),
            Said::Failed(fault, code) => (fault, code.map_or_else(String::new, |code| format!("{code} "))),
        };
        let message = format!("{}: the receiver did not take this one", asked.what);
        let answer = format!("{code}in its result\n\n{}", excerpt(item.to_string().as_bytes()));
        Err(self.failed(fault, message, &asked.line, parcel, Some(answer)))
    }

    fn receipt(&self, item: Option<&Value>, status: StatusCode, parcel: &Parcel) -> Receipt {
        let pointer = self.send.receiver_id.as_deref();
        let found = pointer.and_then(|pointer| text(item?.pointer(pointer)?));
        Receipt { receiver_id: found.or_else(|| parcel.receiver_id.clone()), status: Some(status.as_u16()) }
    }

    fn of_all(&self, fault: Fault, asked: &Asked<'_>, parcel: &Parcel) -> DeliveryError {
        let mut message = format!("{}: {}", asked.what, answered(asked.status, &asked.headers));
        if asked.status == StatusCode::MULTI_STATUS {
            message.push_str(": say where in the answer the results stand (`results`)");
        }
        // What is said about a request of several may be about another record, which is masked in another way.
        let said = match asked.parcels.len() {
            1 => format!("{}\n\n{}", asked.status, asked.answer.excerpt()).trim_end().to_owned(),
            _ => asked.status.to_string(),
        };
        self.failed(fault, message, &asked.line, parcel, Some(said)).shared()
    }

    fn in_doubt(&self, asked: &Asked<'_>, parcel: &Parcel, reason: &str) -> DeliveryError {
        let message = format!("{}: accepted ({}), but {reason}", asked.what, asked.status);
        self.failed(Fault::Ambiguous, message, &asked.line, parcel, Some(asked.status.to_string()))
    }

    fn failed(
        &self,
        fault: Fault,
        message: String,
        line: &str,
        parcel: &Parcel,
        answer: Option<String>,
    ) -> DeliveryError {
        let mask = |text: String| self.credentials.mask(text);
        let request = Some(mask(format!("{line}\n\n{}", excerpt(&parcel.body))));
        DeliveryError::new(fault, mask(message)).with_exchange(Exchange { request, answer: answer.map(mask) })
    }
}
