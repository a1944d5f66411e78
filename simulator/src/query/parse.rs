//! The filter language: `or`, `and`, `not`, comparisons, arithmetic, functions, `any`, `all`, `cast`.

use super::token::{Token, tokens};
use crate::refusal::Refusal;
use crate::value::Value;

/// A filter, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `and`, `or`.
    Both(&'static str, Box<Expr>, Box<Expr>),
    /// `not`.
    Not(Box<Expr>),
    /// `eq`, `gt` …
    Compare(&'static str, Box<Expr>, Box<Expr>),
    /// `add`, `mul` …
    Math(&'static str, Box<Expr>, Box<Expr>),
    /// A function.
    Call(String, Vec<Expr>),
    /// A field, perhaps through references.
    Path(Vec<String>),
    /// A constant.
    Literal(Value),
    /// `Товары/any(d: …)`: whether all, the path, the name of a line, the condition.
    Lambda(bool, Vec<String>, String, Box<Expr>),
}

/// Reads a filter.
pub fn parse(text: &str) -> Result<Expr, Refusal> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = parser.either()?;
    if parser.at == parser.tokens.len() { Ok(expr) } else { Err(wrong()) }
}

fn wrong() -> Refusal {
    Refusal::bad_option("$filter")
}

/// Deeper filters would only be tried by somebody who wants to overflow the stack.
const DEEPEST: usize = 100;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), Refusal> {
        if self.take(token) { Ok(()) } else { Err(wrong()) }
    }

    /// One of these words, if it comes next.
    fn word(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let Some(Token::Name(name)) = self.peek() else { return None };
        let word = words.iter().find(|word| *word == name).copied();
        self.at += usize::from(word.is_some());
        word
    }

    fn either(&mut self) -> Result<Expr, Refusal> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(wrong());
        }
        let mut left = self.both()?;
        while self.word(&["or"]).is_some() {
            left = Expr::Both("or", Box::new(left), Box::new(self.both()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn both(&mut self) -> Result<Expr, Refusal> {
        let mut left = self.not()?;
        while self.word(&["and"]).is_some() {
            left = Expr::Both("and", Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr, Refusal> {
        let mut times = 0;
        while self.word(&["not"]).is_some() {
            times += 1;
        }
        let mut expr = self.comparison()?;
        for _ in 0..times {
            expr = Expr::Not(Box::new(expr));
        }
        Ok(expr)
    }

    fn comparison(&mut self) -> Result<Expr, Refusal> {
        let left = self.sum()?;
        let Some(operator) = self.word(&["eq", "ne", "gt", "ge", "lt", "le"]) else { return Ok(left) };
        Ok(Expr::Compare(operator, Box::new(left), Box::new(self.sum()?)))
    }

    fn sum(&mut self) -> Result<Expr, Refusal> {
        let mut left = self.product()?;
        while let Some(operator) = self.word(&["add", "sub"]) {
            left = Expr::Math(operator, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expr, Refusal> {
        let mut left = self.primary()?;
        while let Some(operator) = self.word(&["mul", "div"]) {
            left = Expr::Math(operator, Box::new(left), Box::new(self.primary()?));
        }
        Ok(left)
    }

    fn primary(&mut self) -> Result<Expr, Refusal> {
        let token = self.peek().cloned().ok_or_else(wrong)?;
        self.at += 1;
        match token {
            Token::Open => {
                let inner = self.either()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Literal(value) => Ok(Expr::Literal(value)),
            Token::Name(name) if self.take(&Token::Open) => {
                let mut arguments = Vec::new();
                while !self.take(&Token::Close) {
                    if !arguments.is_empty() {
                        self.expect(&Token::Comma)?;
                    }
                    arguments.push(self.either()?);
                }
                self.rest_of_path(Expr::Call(name, arguments))
            }
            Token::Name(name) => self.path(name),
            _ => Err(wrong()),
        }
    }

    fn path(&mut self, first: String) -> Result<Expr, Refusal> {
        let mut path = vec![first];
        while self.take(&Token::Slash) {
            let Some(Token::Name(name)) = self.peek().cloned() else { return Err(wrong()) };
            self.at += 1;
            let all = name == "all";
            if (all || name == "any") && self.take(&Token::Open) {
                let Some(Token::Name(line)) = self.peek().cloned() else { return Err(wrong()) };
                self.at += 1;
                self.expect(&Token::Colon)?;
                let condition = self.either()?;
                self.expect(&Token::Close)?;
                return Ok(Expr::Lambda(all, path, line, Box::new(condition)));
            }
            path.push(name);
        }
        Ok(Expr::Path(path))
    }

    /// `cast(X,'Document_Y')/Поле`.
    fn rest_of_path(&mut self, head: Expr) -> Result<Expr, Refusal> {
        let Some(Token::Slash) = self.peek() else { return Ok(head) };
        let Expr::Call(name, mut arguments) = head else { return Err(wrong()) };
        let (2, "cast") = (arguments.len(), name.as_str()) else { return Err(wrong()) };
        let (Some(Expr::Literal(Value::Text(target))), Some(Expr::Path(mut path))) = (arguments.pop(), arguments.pop())
        else {
            return Err(wrong());
        };
        path.push(target);
        while self.take(&Token::Slash) {
            let Some(Token::Name(name)) = self.peek().cloned() else { return Err(wrong()) };
            self.at += 1;
            path.push(name);
        }
        Ok(Expr::Path(path))
    }
}
