//! `lookup("map", value)` in a program.
//!
//! A value that the map lacks ends the program, whatever the program would do about an error: what stopped it is left in
//! a place of this thread, where the run that began it looks afterwards.

use std::cell::RefCell;
use std::rc::Rc;

use bus_core::ports::shape::ShapeError;
use bus_core::vocabulary::MapName;
use bus_options::nearest;
use vrl::compiler::Category;
use vrl::compiler::prelude::*;

use super::number;
use crate::maps::{Catalogue, Found, Handle, Stop, Unknown, look_up};

thread_local! {
    /// What stopped the program that runs on this thread. A program runs from start to end on one thread.
    static STOPPED: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

/// Runs a program; what stopped one of its lookups counts for more than what the program made of it.
pub fn run<T, E: Into<Stop>>(program: impl FnOnce() -> Result<T, E>) -> Result<T, Stop> {
    STOPPED.take();
    let outcome = program();
    match STOPPED.take() {
        Some(stop) => Err(stop),
        None => outcome.map_err(Into::into),
    }
}

/// What the calls of one program are compiled with, and what they tell about it.
#[derive(Clone, Default)]
pub struct Session {
    /// The maps there are.
    pub catalogue: Catalogue,
    /// The maps that the program asks.
    pub maps: Rc<RefCell<Vec<MapName>>>,
    /// A map that the program may wait for.
    pub holds_for: Rc<RefCell<Option<MapName>>>,
    /// What is wrong with its calls.
    pub mistakes: Rc<RefCell<Vec<Mistake>>>,
}

/// The function.
#[derive(Clone, Copy, Debug)]
pub struct Lookup;

impl Function for Lookup {
    fn identifier(&self) -> &'static str {
        "lookup"
    }

    fn usage(&self) -> &'static str {
        "Looks a value up in a map of the configuration."
    }

    fn category(&self) -> &'static str {
        Category::Object.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::ANY
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[
            Parameter::required("map", kind::BYTES, "The map's name."),
            Parameter::required("value", kind::ANY, "The value to look up."),
            Parameter::optional("default", kind::ANY, "Stands in for a value that the map lacks."),
            Parameter::optional("unknown", kind::BYTES, "What else happens then."),
        ];
        PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn compile(&self, state: &TypeState, ctx: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        let name = arguments.required_literal("map", state)?;
        let name = text(&name).unwrap_or_default();
        let session = ctx.get_external_context::<Session>().cloned().unwrap_or_default();
        let map = match session.catalogue.get(&name) {
            Some(map) => map.clone(),
            None => {
                let refused = Mistake::map(&name, &session.catalogue).left_in(&session, ctx.span());
                // It is told; another one stands in, so that the rest of the program is looked at.
                session.catalogue.stand_in(&name).ok_or(refused)?
            }
        };
        let unknown = arguments.optional_literal("unknown", state)?;
        let unknown = match unknown.as_ref().map(|word| text(word).unwrap_or_default()) {
            Some(word) => {
                Some(Unknown::of_word(&word).ok_or_else(|| Mistake::word(&word).left_in(&session, ctx.span()))?)
            }
            None => None,
        };
        let default = arguments.optional("default");
        if default.is_some() && unknown.is_some() {
            return Err(Mistake::both().left_in(&session, ctx.span()));
        }
        // The time that the map itself names is also what `unknown: "hold"` means.
        let unknown = match (unknown, &map.unknown) {
            (Some(Unknown::Hold(_)), Unknown::Hold(within)) => Unknown::Hold(*within),
            (Some(stated), _) => stated,
            (None, own) => own.clone(),
        };
        session.maps.borrow_mut().push(map.name.clone());
        if default.is_none() && matches!(unknown, Unknown::Hold(_)) {
            session.holds_for.replace(Some(map.name.clone()));
        }
        Ok(Call { map, value: arguments.required("value"), default, unknown }.as_expr())
    }
}

#[derive(Debug, Clone)]
struct Call {
    map: Handle,
    value: Box<dyn Expression>,
    default: Option<Box<dyn Expression>>,
    unknown: Unknown,
}

impl FunctionExpression for Call {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let value = self.value.resolve(ctx)?;
        let asked = match key_of(&value) {
            Ok(asked) => asked,
            Err(what) => {
                let message = format!("map `{}` was asked for {what}", self.map.name);
                return Err(stop(Stop::Error(ShapeError(message))));
            }
        };
        // Whatever else the map would do: this call has a value of its own.
        let unknown = if self.default.is_some() { &Unknown::Pass } else { &self.unknown };
        match look_up(&self.map, asked.as_deref(), unknown) {
            Ok(Found::Value(value)) => Ok(of_json(value)),
            Ok(Found::Same) => match &self.default {
                Some(default) => default.resolve(ctx),
                None => Ok(value),
            },
            Err(stopped) => Err(stop(stopped)),
        }
    }

    fn type_def(&self, state: &TypeState) -> TypeDef {
        let known = match self.map.texts {
            true => TypeDef::bytes(),
            false => TypeDef::bytes().or_integer().or_float().or_boolean(),
        };
        let value = self.value.type_def(state);
        let other = match (&self.default, &self.unknown) {
            (Some(default), _) => Some(default.type_def(state)),
            (None, Unknown::Pass) => Some(value.clone()),
            (None, Unknown::Default(default)) => Some(TypeDef::from(of_json(default.clone()).kind())),
            (None, Unknown::DeadLetter | Unknown::Hold(_)) => None,
        };
        let fallible = value.is_fallible() || other.as_ref().is_some_and(TypeDef::is_fallible);
        let all = other.map_or(known.clone(), |other| known.union(other));
        // A stop is not an error that the program could handle: it ends the run.
        all.maybe_fallible(fallible)
    }
}

fn stop(stop: Stop) -> ExpressionError {
    STOPPED.set(Some(stop));
    ExpressionError::from("a lookup stopped the program")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        _ => None,
    }
}

/// The text that a map is asked for: numbers as they are printed, a list as the key of several columns.
fn key_of(value: &Value) -> Result<Option<String>, &'static str> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bytes(_) | Value::String(_) => text(value).ok_or("a text that is not UTF-8")?,
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| key_of(item).ok().flatten()).collect();
            serde_json::Value::from(texts.ok_or("a list that is no key")?).to_string()
        }
        _ => return Err("a value that is no text, number or list of them"),
    }))
}

/// A number that a program cannot hold exactly becomes a text: a receiver's article number keeps all its digits.
fn of_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Number(number) => {
            number::exact(number.as_str()).unwrap_or_else(|| Value::from(number.as_str()))
        }
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Bool(value) => Value::from(value),
        _ => Value::Null,
    }
}

/// A mistake in a call, in our own words. The language wraps what a function says about itself, so it is left in the
/// session, where the compilation that failed looks for it.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The call.
    pub span: Span,
}

impl Mistake {
    fn map(name: &str, catalogue: &Catalogue) -> Self {
        let hint = match nearest(name, catalogue.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("define it: [maps.{name}]"),
        };
        Self { message: format!("no map is called `{name}`"), hint, span: Span::default() }
    }

    fn word(word: &str) -> Self {
        let hint = match nearest(word, Unknown::WORDS) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("one of \"{}\"", Unknown::WORDS.join("\", \"")),
        };
        Self { message: format!("`{word}` is not one of the choices"), hint, span: Span::default() }
    }

    fn both() -> Self {
        let hint = "keep one of the two".to_owned();
        Self { message: "`default` beside `unknown`".to_owned(), hint, span: Span::default() }
    }

    fn left_in(self, session: &Session, span: Span) -> Box<dyn DiagnosticMessage> {
        session.mistakes.borrow_mut().push(Self { span, ..self });
        Box::new(ExpressionError::from("a mistake in a lookup"))
    }
}
