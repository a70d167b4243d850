//! Secrets that a run has used, taken out of everything that is written down.
//!
//! Main type: [`Secrets`]. The ways in which a secret can stand in a text are `form`'s, those in which programs write one
//! character are `escapes`'. A search takes time in proportion to the text, whatever stands in it.

mod escapes;
mod form;
#[cfg(test)]
mod tests;

use super::Secret;
use form::Form;
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands in the place of a secret.
const CONCEALED: &str = "<secret>";

/// Below so many characters an encoded form could stand anywhere by chance, and is not looked for. Of each of its lines,
/// too, a secret of several lines is only known by those that are this long.
const SHORTEST_FORM: usize = 8;

/// A secret of fewer characters is not taken out: it protects nothing, stands anywhere by chance, and without its letters
/// neither checks nor names could be read.
const SHORTEST_SECRET: usize = 4;

/// The secrets that a run has been given, so that they can be taken out of everything that is written down. Copies share
/// what they know.
///
/// A secret is recognised as it is, in base64 (both alphabets, wherever it begins in what was encoded), in hexadecimal
/// digits, and in all of these with escapes: percent encoding, JSON, HTML, shell, bytes by their numbers, doubled quotes. Each
/// character may have another kind, or the same one several times; and what has backslashes may be escaped again for HTML or
/// an address. What is encoded may be broken into lines, and these indented, by 64 bytes together.
///
/// Not seen through are other kinds inside of each other, where signs of an escape are escaped themselves (HTML in an address:
/// `%26%2339%3B`), and more than 32 backslashes in a row; `docs/security.md` lists what remains.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    forms: Arc<RwLock<Vec<Form>>>,
    short: Arc<RwLock<Short>>,
}

/// Whether a secret was too short to be taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Short {
    /// None was.
    #[default]
    None,
    /// One was, and nobody has been told.
    Untold,
    /// One was, and that has been said.
    Told,
}

impl Secrets {
    /// From now on this one is known. Texts from before are not looked at again.
    pub fn learn(&self, secret: &Secret) {
        let text = secret.reveal();
        if text.chars().count() < SHORTEST_SECRET {
            let mut short = self.short.write().unwrap_or_else(PoisonError::into_inner);
            // An empty one is none.
            if *short == Short::None && !text.is_empty() {
                *short = Short::Untold;
            }
            return;
        }
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        let mut add = |form: Form| {
            if form.length() > 0 && !forms.contains(&form) {
                forms.push(form);
            }
        };
        add(Form::plain(text));
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_FORM);
        for line in lines.chain([text.trim()]) {
            add(Form::plain(line));
            Form::encoded(line.as_bytes()).into_iter().for_each(&mut add);
        }
        // The longest first, so that no shorter one cuts a piece out of it.
        forms.sort_by_key(|form| std::cmp::Reverse(form.length()));
    }

    /// As [`Secrets::learn`], of one that an earlier process of the run has used. That it is too short was said then, or is said
    /// when it is used again.
    pub fn learn_again(&self, secret: &Secret) {
        if secret.reveal().chars().count() >= SHORTEST_SECRET {
            self.learn(secret);
        }
    }

    /// True once, when a secret was too short to be taken out: somebody should hear of it.
    pub fn tell_of_short(&self) -> bool {
        let mut short = self.short.write().unwrap_or_else(PoisonError::into_inner);
        let untold = *short == Short::Untold;
        if untold {
            *short = Short::Told;
        }
        untold
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.forms.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A text without the secrets.
    pub fn conceal(&self, text: &str) -> String {
        self.replace(text, 1, false)
    }

    /// The beginning of a longer text, without the secrets: one that was cut through at the end is taken out as well.
    pub fn conceal_beginning(&self, text: &str) -> String {
        self.replace(text, 1, true)
    }

    /// Takes secrets out of all texts of a value that programs go on to use. Short ones stay: they could be part of a host
    /// name, and have been taken out where outside text came in.
    pub fn conceal_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.replace(text, SHORTEST_FORM, false),
            Value::Array(items) => items.iter_mut().for_each(|item| self.conceal_value(item)),
            Value::Object(fields) => {
                let has = |name: &String| self.replace(name, SHORTEST_FORM, false) != *name;
                if fields.keys().any(has) {
                    let renamed = std::mem::take(fields).into_iter();
                    *fields =
                        renamed.map(|(n, v)| (self.replace(&n, SHORTEST_FORM, false), v)).collect();
                }
                fields.values_mut().for_each(|item| self.conceal_value(item));
            }
            Value::Number(number) => {
                let text = number.to_string();
                let concealed = self.replace(&text, SHORTEST_FORM, false);
                if concealed != text {
                    *value = Value::String(concealed);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn replace(&self, text: &str, shortest: usize, is_beginning: bool) -> String {
        let forms = self.forms.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for form in forms.iter().filter(|form| form.length() >= shortest) {
            if let Some(replaced) = form.replace(&text, is_beginning) {
                text = replaced;
            }
        }
        text
    }
}
