//! What we sign in with, taken out of what a system sends back: dead letters and the journal are read by many.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bus_core::vocabulary::Secret;

/// Texts that are too short to be told from others are not masked.
const MASKED_FROM: usize = 4;

/// All forms in which credentials may come back, the longest first, so that nothing is left of one that holds another.
#[derive(Clone, Default)]
pub(crate) struct Credentials(Vec<Secret>);

impl Credentials {
    /// A login as it is typed and as it is sent, and other secrets, such as headers of one ("Bearer …" without the word too).
    pub(crate) fn new(login: Option<&(String, Secret)>, others: impl Iterator<Item = Secret>) -> Self {
        let mut forms = Vec::new();
        if let Some((user, password)) = login {
            for password in [password.expose(), password.expose().trim()] {
                forms.push(password.to_owned());
                forms.push(BASE64_STANDARD.encode(format!("{user}:{password}")));
            }
        }
        for secret in others {
            let sent = secret.expose().trim();
            let token = sent.split_once(' ').map_or(sent, |(_, token)| token.trim_start());
            forms.extend([secret.expose(), sent, token].map(str::to_owned));
        }
        // In an answer that is XML, or JSON; some escape the slash too, and what is no ASCII.
        for at in 0..forms.len() {
            let text = forms[at].replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            forms.extend([text.replace('"', "&quot;").replace('\'', "&apos;"), text]);
            let quoted = serde_json::Value::from(forms[at].as_str()).to_string();
            let quoted = &quoted[1..quoted.len() - 1];
            let ascii = ascii(quoted);
            forms.extend([quoted.to_owned(), quoted.replace('/', "\\/"), ascii.replace('/', "\\/"), ascii]);
        }
        forms.retain(|form| form.len() >= MASKED_FROM);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms.into_iter().map(Secret::new).collect())
    }

    /// Bytes of the longest form.
    pub(crate) fn longest(&self) -> usize {
        self.0.first().map_or(0, |form| form.expose().len())
    }

    /// As [`Credentials::mask`], for a text that may have been cut anywhere: also what it ends with, if a credential begins so.
    pub(crate) fn mask_cut(&self, text: String) -> String {
        let mut text = self.mask(text);
        let begins = |form: &Secret| {
            let ends = form.expose().char_indices().map(|(at, _)| at).filter(|end| *end >= MASKED_FROM);
            ends.rev().find(|end| text.ends_with(&form.expose()[..*end]))
        };
        if let Some(begun) = self.0.iter().filter_map(begins).max() {
            text.truncate(text.len() - begun);
            text.push_str("***");
        }
        text
    }

    /// The text with stars for what is secret.
    pub(crate) fn mask(&self, mut text: String) -> String {
        for secret in self.0.iter().map(Secret::expose) {
            if text.contains(secret) {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

/// As PHP and Python write it by default.
fn ascii(quoted: &str) -> String {
    let mut text = String::new();
    for unit in quoted.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_credential_is_left() {
        let login = ("шина".to_owned(), Secret::new("pa/ss\"word\n"));
        let headers = ["Bearer to/ken-1 ", "abc", "пароль/7"].map(Secret::new);
        let credentials = Credentials::new(Some(&login), headers.into_iter());
        let basic = BASE64_STANDARD.encode("шина:pa/ss\"word\n");
        for (text, expected) in [
            (format!("got Basic {basic}"), "got Basic ***"),
            ("no pa/ss\"word here".to_owned(), "no *** here"),
            (r#"{"password":"pa\/ss\"word\n"}"#.to_owned(), r#"{"password":"***"}"#),
            ("Bearer to/ken-1 is old".to_owned(), "***is old"),
            ("to/ken-1, abc".to_owned(), "***, abc"),
            (r#"{"got":"\u043f\u0430\u0440\u043e\u043b\u044c\/7"}"#.to_owned(), r#"{"got":"***"}"#),
            ("<m>pa/ss&quot;word</m><m>pa/ss\"word</m>".to_owned(), "<m>***</m><m>***</m>"),
        ] {
            assert_eq!(credentials.mask(text), expected);
        }
    }
}
