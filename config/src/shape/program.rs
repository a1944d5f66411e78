//! Programs (VRL), compiled and type-checked when the file is read.

use std::borrow::Cow;
use std::sync::Arc;

use bus_core::ports::shape::ShapeError;
use bus_options::{Node, OptionValue, Report, Script, codes};
use bytes::Bytes;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::state::ExternalEnv;
use vrl::compiler::{CompileConfig, TargetValueRef, TimeZone, compile_with_external};
use vrl::diagnostic::{Diagnostic, DiagnosticList};
use vrl::value::{Secrets, Value};

use super::record::Record;
use super::{functions, hint};

/// A compiled program; cloning shares it.
#[derive(Debug, Clone)]
pub struct Program {
    compiled: Arc<vrl::compiler::Program>,
    /// For messages about records: which line failed.
    source: Arc<str>,
}

/// The same text is the same program.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Program {
    fn compile(script: &Script, read_only: bool, report: &mut Report) -> Option<Self> {
        let functions = functions::all();
        let mut config = CompileConfig::default();
        if read_only {
            config.set_read_only();
        }
        match compile_with_external(&script.text, &functions, &ExternalEnv::default(), config) {
            Ok(result) => Some(Self { compiled: Arc::new(result.program), source: script.text.as_str().into() }),
            Err(mistakes) => {
                tell(script, mistakes, &functions, report);
                None
            }
        }
    }

    /// The paths of the record that it reads.
    pub fn paths_read(&self) -> Vec<String> {
        self.compiled.info().target_queries.iter().map(ToString::to_string).collect()
    }

    fn run(&self, record: &mut Record, zone: TimeZone) -> Result<Value, ShapeError> {
        record.check_reads(&self.compiled.info().target_queries)?;
        let (mut metadata, mut secrets) = (Value::Object(Default::default()), Secrets::default());
        let mut target = TargetValueRef { value: &mut record.value, metadata: &mut metadata, secrets: &mut secrets };
        Runtime::default().resolve(&mut target, &self.compiled, &zone).map_err(|error| self.failure(error))
    }

    /// Says at which line of the program a record failed. The language's own message may quote the record: it is
    /// left out.
    fn failure(&self, error: Terminate) -> ShapeError {
        use vrl::compiler::ExpressionError;
        let (span, what) = match error {
            Terminate::Abort(ExpressionError::Abort { span, message }) => {
                (Some(span), message.unwrap_or_else(|| "the program aborted".into()))
            }
            Terminate::Abort(ExpressionError::Error { labels, .. })
            | Terminate::Error(ExpressionError::Error { labels, .. }) => {
                let span = labels.first().map(|label| label.span);
                (span, "an expression failed on this record".into())
            }
            _ => (None, "the program failed on this record".into()),
        };
        match span.and_then(|span| self.source.get(..span.start())) {
            Some(before) => {
                let line = before.matches('\n').count();
                let text = self.source.lines().nth(line).unwrap_or("").trim();
                ShapeError(format!("{what}, in line {} of the program: {text}", line + 1))
            }
            None => ShapeError(what),
        }
    }
}

/// Reports the language's mistakes at their places in the file, with our hints.
fn tell(
    script: &Script,
    mistakes: DiagnosticList,
    functions: &[Box<dyn vrl::compiler::Function>],
    report: &mut Report,
) {
    for mistake in mistakes.into_iter().filter(Diagnostic::is_problem) {
        let label = mistake.labels.iter().find(|label| label.primary).or_else(|| mistake.labels.first());
        let (start, end) = label.map_or((0, script.text.len()), |label| (label.span.start(), label.span.end()));
        let advice = hint::advise(&mistake, &script.text, start, end, functions);
        let span = script.span_of(start..end);
        match advice.hint {
            Some(hint) => report.add_with_hint(codes::BAD_PROGRAM, &span, advice.message, hint),
            None => report.add(codes::BAD_PROGRAM, &span, advice.message),
        }
        if hint::is_syntax(&mistake) {
            return;
        }
    }
}

/// `when`: a question whose answer is true or false.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(pub(super) Program);

impl Condition {
    pub(super) fn holds(&self, record: &mut Record, zone: TimeZone) -> Result<bool, ShapeError> {
        match self.0.run(record, zone)? {
            Value::Boolean(answer) => Ok(answer),
            _ => Err(ShapeError("`when` did not give true or false".into())),
        }
    }
}

impl OptionValue for Condition {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let script = Script::read(node, report)?;
        let program = Program::compile(&script, true, report)?;
        if !program.compiled.final_type_info().result.is_boolean() {
            let hint = "compare with something, as in `.Posted == true`";
            report.add_with_hint(codes::BAD_PROGRAM, &script.span, "`when` must give true or false", hint);
            return None;
        }
        Some(Self(program))
    }
    fn kind() -> Cow<'static, str> {
        "VRL that gives true or false".into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "minLength": 1})
    }
}

/// `transform`: makes the receiver's object of the record, in place (`.`).
#[derive(Debug, Clone, PartialEq)]
pub struct Transform(pub(super) Program);

impl Transform {
    pub(super) fn apply(&self, mut record: Record, zone: TimeZone) -> Result<Bytes, ShapeError> {
        self.0.run(&mut record, zone)?;
        if !record.value.is_object() {
            return Err(ShapeError("the transform left no object in `.`".into()));
        }
        record.to_json()
    }
}

impl OptionValue for Transform {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let script = Script::read(node, report)?;
        let program = Program::compile(&script, false, report)?;
        if !program.compiled.final_type_info().state.external.target_kind().contains_object() {
            let hint = "assign the receiver's object to the record: . = { \"id\": .id }";
            report.add_with_hint(codes::BAD_PROGRAM, &script.span, "`transform` must leave an object in `.`", hint);
            return None;
        }
        Some(Self(program))
    }
    fn kind() -> Cow<'static, str> {
        "VRL that makes the receiver's object".into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "minLength": 1})
    }
}
