//! Routes that write to a base of 1C.

use bus_core::vocabulary::RouteName;
use bus_options::{Located, Report, codes};

use crate::landscape::{Carried, Gone, OdataWrite};
use crate::language::odata::Posting;
use crate::language::route::{OnDelete, Route};

/// What a base is told to do with a record.
pub fn odata(name: &Located<RouteName>, route: &Route, report: &mut Report) -> Carried {
    if let Some(send) = &route.send {
        let message = format!("`send` is for HTTP; `{}` is a base of 1C", route.to.name());
        report.add_with_hint(codes::CONTRADICTION, &send.span, message, "say write = { set = \"Catalog_…\" }");
    }
    if let Some(batch) = &route.batch {
        let message = format!("`{}` is a base of 1C: it takes one record in a request", route.to.name());
        let hint = "remove `batch`; what it takes at the same time is `concurrency`";
        report.add_with_hint(codes::BATCH_TO_1C, &batch.span, message, hint);
    }
    let gone = match &route.on_delete.value {
        OnDelete::Ignore => None,
        OnDelete::Mark => Some(Gone::Mark),
        OnDelete::Delete => Some(Gone::Delete),
        OnDelete::Send(_) => {
            let hint = "say on_delete = \"mark\" or \"delete\"";
            report.add_with_hint(
                codes::CONTRADICTION,
                &route.on_delete.span,
                "a base of 1C takes no such request",
                hint,
            );
            None
        }
    };
    if let Some(write) = &route.write {
        let (write, span) = (&write.value, &write.span);
        if write.post != Posting::Leave && !write.set.0.starts_with("Document_") {
            let message = format!("only documents are posted; {} is none", write.set.0);
            report.add_with_hint(codes::POSTS_NO_DOCUMENT, span, message, "remove `post`");
        }
        if write.by.is_some()
            && ["InformationRegister_", "AccumulationRegister_", "AccountingRegister_", "Constant_"]
                .iter()
                .any(|kind| write.set.0.starts_with(kind))
        {
            let message = format!("{} has its key in its own fields", write.set.0);
            report.add_with_hint(codes::CONTRADICTION, span, message, "remove `by`");
        }
    } else if route.send.is_none() {
        let hint = "add write = { set = \"Document_ЗаказКлиента\", by = \"…\" }";
        report.add_with_hint(codes::MISSING, &name.span, "`write` is required: it goes to a base of 1C", hint);
    }
    let write = route.write.as_ref().map(|write| &write.value);
    Carried::Odata(OdataWrite {
        set: write.map(|write| write.set.0.clone()).unwrap_or_default(),
        by: write.and_then(|write| write.by.as_ref()).map(|by| by.0.clone()),
        create: write.is_some_and(|write| write.create),
        post: write.map_or(Posting::Leave, |write| write.post),
        gone,
        load_mode: write.is_some_and(|write| write.load_mode),
    })
}
