//! What a failed request means for a record.
//!
//! | what happened | reading | writing |
//! |---|---|---|
//! | no connection, no session of ours | unavailable | unavailable |
//! | cut, timed out | unavailable | ambiguous: read back |
//! | maintenance | unavailable | unavailable: nothing was begun |
//! | 429, 503 with `Retry-After` | throttled | throttled: nothing was begun |
//! | no licence, 406 | throttled | throttled: nothing was begun |
//! | 401, 403, not published, a page of somebody else | misconfigured | misconfigured |
//! | locked by somebody, a conflict of locks | unavailable | busy |
//! | 412 | busy | busy: somebody changed it |
//! | 404 with code 9, other 4xx, 501 | rejected | rejected |
//! | code -1: the configuration says no | unavailable | rejected, in its own words |
//! | 5xx without 1C's own body, 502, 504 | unavailable | ambiguous: read back |

use bus_core::ports::source::SourceFault;
use bus_core::vocabulary::{DeliveryError, Exchange, Fault};

use crate::odata::base::Failed;
use crate::odata::trouble::{Cause, Trouble};

/// Whether the object is not there.
pub(super) fn is_missing(failed: &Failed) -> bool {
    matches!(failed, Failed::Trouble(Trouble { status: 404, code: Some(9), .. }))
}

/// Whether an independent record with this key is there already.
pub(super) fn is_taken(failed: &Failed) -> bool {
    matches!(failed, Failed::Trouble(Trouble { code: Some(15), .. }))
}

/// The fault of a failed request. `sent` goes into the dead letter.
pub(super) fn error(failed: &Failed, writes: bool, sent: String) -> DeliveryError {
    let (fault, message, answer) = match failed {
        Failed::Trouble(trouble) => (fault(trouble, writes), trouble.to_string(), Some(trouble.to_string())),
        Failed::Wire { error, sent } => {
            let fault = match error.fault {
                SourceFault::Misconfigured => Fault::Misconfigured,
                _ if *sent && writes => Fault::Ambiguous,
                _ => Fault::Unavailable,
            };
            (fault, error.message.clone(), None)
        }
        Failed::Broken(what) if writes => (Fault::Ambiguous, what.clone(), None),
        Failed::Broken(what) => (Fault::Unavailable, what.clone(), None),
    };
    DeliveryError::new(fault, message).with_exchange(Exchange { request: Some(sent), answer })
}

fn fault(trouble: &Trouble, writes: bool) -> Fault {
    let said = trouble.message.to_lowercase();
    let locked = ["блокиров", "заблокирован", "lock conflict", "locked"].iter().any(|word| said.contains(word));
    match trouble.cause {
        Cause::Maintenance => Fault::Unavailable,
        Cause::Licence | Cause::Sessions | Cause::Less => Fault::Throttled { retry_after: trouble.retry_after },
        Cause::SignIn | Cause::Rights | Cause::NotPublished | Cause::Foreign => Fault::Misconfigured,
        Cause::Failure if locked && trouble.code.is_some() && writes => Fault::Busy,
        Cause::Failure if said.contains("нельзя сравнивать") => Fault::Misconfigured,
        Cause::Failure if trouble.code.is_some() && writes => Fault::Rejected,
        Cause::Gateway if trouble.status == 503 => Fault::Unavailable,
        Cause::Gateway | Cause::Failure if writes => Fault::Ambiguous,
        Cause::Gateway | Cause::Failure => Fault::Unavailable,
        Cause::Request if trouble.status == 412 => Fault::Busy,
        Cause::Request => Fault::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Credentials;

    #[test]
    fn each_failure_has_its_fault() {
        let said = |code: &str, text: &str| {
            format!(r#"{{"odata.error":{{"code":"{code}","message":{{"lang":"ru","value":"{text}"}}}}}}"#)
        };
        let closed = r#"{"exception":{"descr":"Начало сеанса с информационной базой запрещено."}}"#;
        let throttled = Fault::Throttled { retry_after: None };
        for (status, body, reading, writing) in [
            (403, closed.to_owned(), Fault::Unavailable, Fault::Unavailable),
            (406, String::new(), throttled, throttled),
            (500, "Не обнаружено свободной лицензии!".into(), throttled, throttled),
            (401, String::new(), Fault::Misconfigured, Fault::Misconfigured),
            (404, said("8", "не найден"), Fault::Misconfigured, Fault::Misconfigured),
            (404, said("9", "не найден"), Fault::Rejected, Fault::Rejected),
            (400, said("4", "Неверное значение"), Fault::Rejected, Fault::Rejected),
            (412, said("0", "Версия"), Fault::Busy, Fault::Busy),
            (500, said("-1", "Конфликт блокировок при выполнении транзакции"), Fault::Unavailable, Fault::Busy),
            (500, said("-1", "Поле не заполнено"), Fault::Unavailable, Fault::Rejected),
            (500, said("-1", "Нельзя сравнивать поля"), Fault::Misconfigured, Fault::Misconfigured),
            (500, "<html>1C:Enterprise 8 application error</html>".into(), Fault::Unavailable, Fault::Ambiguous),
            (429, String::new(), throttled, throttled),
            (502, String::new(), Fault::Unavailable, Fault::Ambiguous),
            (503, String::new(), Fault::Unavailable, Fault::Unavailable),
            (200, "<html>Вход</html>".into(), Fault::Misconfigured, Fault::Misconfigured),
        ] {
            let failed = Failed::Trouble(Trouble::read(status, None, body.as_bytes(), &Credentials::default()));
            for (writes, expected) in [(false, reading), (true, writing)] {
                assert_eq!(error(&failed, writes, String::new()).fault, expected, "{status} {body} {writes}");
            }
        }
    }
}
