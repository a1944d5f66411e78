//! Programs (VRL), compiled and type-checked when the files are read.

use std::borrow::Cow;
use std::sync::Arc;

use bus_core::ports::shape::ShapeError;
use bus_core::vocabulary::MapName;
use bus_options::{Node, OptionValue, Report, Script, codes};
use bytes::Bytes;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::state::ExternalEnv;
use vrl::compiler::{CompileConfig, TargetValueRef, TimeZone, compile_with_external};
use vrl::diagnostic::{Diagnostic, DiagnosticList};
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};
use vrl::value::{Secrets, Value};

use super::record::Record;
use super::{failure, functions, hint, lookup};
use crate::maps::{Catalogue, Stop};

/// A compiled program; cloning shares it.
#[derive(Debug, Clone)]
pub struct Program {
    compiled: Arc<vrl::compiler::Program>,
    /// For messages about records: which line failed.
    source: Arc<str>,
    /// The maps that it asks.
    maps: Vec<MapName>,
    /// A map that a message may wait for.
    holds_for: Option<MapName>,
}

/// The same text is the same program.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Program {
    fn compile(script: &Script, catalogue: &Catalogue, read_only: bool, report: &mut Report) -> Option<Self> {
        let functions = functions::all();
        let mut config = CompileConfig::default();
        let session = lookup::Session { catalogue: catalogue.clone(), ..Default::default() };
        config.set_custom(session.clone());
        if read_only {
            config.set_read_only();
        }
        let compiled = compile_with_external(&script.text, &functions, &ExternalEnv::default(), config);
        let own = session.mistakes.take();
        match compiled {
            Ok(result) if own.is_empty() => {
                let (compiled, source) = (Arc::new(result.program), script.text.as_str().into());
                Some(Self { compiled, source, maps: session.maps.take(), holds_for: session.holds_for.take() })
            }
            outcome => {
                tell(script, outcome.err().unwrap_or_default(), &own, &functions, report);
                None
            }
        }
    }

    /// The maps that it asks.
    pub(super) fn maps(&self) -> &[MapName] {
        &self.maps
    }

    /// A map that it may wait for.
    pub(super) fn holds_for(&self) -> Option<&MapName> {
        self.holds_for.as_ref()
    }

    /// The paths of the record that it reads.
    pub fn paths_read(&self) -> Vec<String> {
        self.compiled.info().target_queries.iter().map(ToString::to_string).collect()
    }

    /// The fields of the record that it reads; see [`Shaper::fields_read`](super::Shaper::fields_read).
    pub(super) fn fields_read(&self) -> Vec<String> {
        let names = |path: &OwnedTargetPath| {
            let names = path.path.segments.iter().filter_map(|segment| match segment {
                OwnedSegment::Field(name) => Some(name.to_string()),
                OwnedSegment::Index(_) => None,
            });
            names.collect::<Vec<_>>().join(".")
        };
        let queries = self.compiled.info().target_queries.iter();
        queries.filter(|path| path.prefix == PathPrefix::Event).map(names).collect()
    }

    /// Whether nothing of the record is left but what it has read, whichever way it takes: a field that nobody names is gone by
    /// the types at its end. `return` leaves the record as it is at that place, which these types do not tell.
    pub(super) fn replaces_all(&self) -> bool {
        let end = self.compiled.final_type_info();
        let unnamed = end.state.external.target_kind().at_path(&[OwnedSegment::field("\0")][..]);
        unnamed.is_undefined() && end.result.returns().is_never()
    }

    fn run(&self, record: &mut Record, zone: TimeZone) -> Result<Value, Stop> {
        record.check_reads(&self.compiled.info().target_queries)?;
        let (mut metadata, mut secrets) = (Value::Object(Default::default()), Secrets::default());
        let mut target = TargetValueRef { value: &mut record.value, metadata: &mut metadata, secrets: &mut secrets };
        lookup::run(|| {
            Runtime::default().resolve(&mut target, &self.compiled, &zone).map_err(|error| self.failure(error))
        })
    }

    /// Says at which line of the program a record failed, and what the language says as far as it quotes no record.
    fn failure(&self, error: Terminate) -> ShapeError {
        use vrl::compiler::ExpressionError;
        let (span, what) = match error {
            Terminate::Abort(ExpressionError::Abort { span, message }) => {
                (Some(span), message.unwrap_or_else(|| "the program aborted".into()))
            }
            Terminate::Abort(ExpressionError::Error { message, labels, .. })
            | Terminate::Error(ExpressionError::Error { message, labels, .. }) => {
                let span = labels.first().map(|label| label.span);
                (span, failure::words(&message))
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
    own: &[lookup::Mistake],
    functions: &[Box<dyn vrl::compiler::Function>],
    report: &mut Report,
) {
    for mistake in own {
        let span = script.span_of(mistake.span.start()..mistake.span.end());
        report.add_with_hint(codes::BAD_PROGRAM, &span, &mistake.message, &mistake.hint);
    }
    for mistake in mistakes.into_iter().filter(Diagnostic::is_problem) {
        if !own.is_empty() && hint::is_refused_call(&mistake) {
            continue;
        }
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
    /// As it is written.
    pub(super) fn text(&self) -> &str {
        &self.0.source
    }

    pub(super) fn holds(&self, record: &mut Record, zone: TimeZone) -> Result<bool, Stop> {
        match self.0.run(record, zone)? {
            Value::Boolean(answer) => Ok(answer),
            _ => Err(ShapeError("`when` did not give true or false".into()).into()),
        }
    }
}

/// `when` as it is written: compiled when all maps are known.
#[derive(Debug, Clone)]
pub struct ConditionText(Script);

impl ConditionText {
    /// Compiles it; its mistakes go into the report.
    pub fn compile(&self, catalogue: &Catalogue, report: &mut Report) -> Option<Condition> {
        let program = Program::compile(&self.0, catalogue, true, report)?;
        if !program.compiled.final_type_info().result.is_boolean() {
            let hint = "compare with something, as in `.Posted == true`";
            report.add_with_hint(codes::BAD_PROGRAM, &self.0.span, "`when` must give true or false", hint);
            return None;
        }
        Some(Condition(program))
    }
}

impl OptionValue for ConditionText {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        Script::read(node, report).map(Self)
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
    pub(super) fn apply(&self, mut record: Record, zone: TimeZone) -> Result<Bytes, Stop> {
        self.0.run(&mut record, zone)?;
        if !record.value.is_object() {
            return Err(ShapeError("the transform left no object in `.`".into()).into());
        }
        Ok(record.to_json()?)
    }
}

/// `transform` as it is written: compiled when all maps are known.
#[derive(Debug, Clone)]
pub struct TransformText(Script);

impl TransformText {
    /// Compiles it; its mistakes go into the report.
    pub fn compile(&self, catalogue: &Catalogue, report: &mut Report) -> Option<Transform> {
        let program = Program::compile(&self.0, catalogue, false, report)?;
        if !program.compiled.final_type_info().state.external.target_kind().contains_object() {
            let hint = "assign the receiver's object to the record: . = { \"id\": .id }";
            report.add_with_hint(codes::BAD_PROGRAM, &self.0.span, "`transform` must leave an object in `.`", hint);
            return None;
        }
        Some(Transform(program))
    }
}

impl OptionValue for TransformText {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        Script::read(node, report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "VRL that makes the receiver's object".into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "minLength": 1})
    }
}
