//! "Did you mean": the field names that a type knows at some path, and the closest of them.
//!
//! The names come from the type itself: a deserializer without data walks down the path and
//! notes the list of fields that the type asks for when it gets there. So core Kubernetes types and our
//! own have suggestions alike, and no list is kept by hand.

use std::fmt;

use serde::{
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::field_path::{FieldPath, Step};

/// Fields that `T` knows in the mapping at `path`; empty when it is no struct there.
pub fn fields_at<T: DeserializeOwned>(path: &FieldPath) -> &'static [&'static str] {
    match T::deserialize(Probe { steps: path.steps() }) {
        Err(Answer::Fields(fields)) => fields,
        _ => &[],
    }
}

/// The candidate that `word` probably meant: same letters in another case or spelling, or at most
/// two typing errors (one in a short word).
pub fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let bare = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    let wanted = bare(word);
    let allowed = if wanted.len() <= 4 { 1 } else { 2 };
    candidates
        .iter()
        .filter(|candidate| **candidate != word)
        .map(|candidate| (distance(&wanted, &bare(candidate)), *candidate))
        .filter(|(errors, _)| *errors <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Typing errors between two words (Levenshtein distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// How a probe ends.
#[derive(Debug)]
enum Answer {
    /// At the end of the path, with the names found there.
    Fields(&'static [&'static str]),
    /// Anywhere else.
    Nothing,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probe ended")
    }
}

impl std::error::Error for Answer {}

impl de::Error for Answer {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Nothing
    }
}

/// A deserializer whose only data is the path to follow.
struct Probe<'a> {
    steps: &'a [Step],
}

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = Answer;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Answer> {
        Err(Answer::Nothing)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Answer> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Answer> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Answer> {
        visitor.visit_seq(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Answer> {
        visitor.visit_map(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Answer> {
        if self.steps.is_empty() { Err(Answer::Fields(fields)) } else { visitor.visit_map(self) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Probe<'_> {
    type Error = Answer;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Answer> {
        match self.steps.split_first() {
            Some((Step::Index(_), rest)) => seed.deserialize(Probe { steps: rest }).map(Some),
            _ => Err(Answer::Nothing),
        }
    }
}

impl<'de> MapAccess<'de> for Probe<'_> {
    type Error = Answer;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Answer> {
        match self.steps.first() {
            Some(Step::Key(key)) => seed.deserialize(key.as_str().into_deserializer()).map(Some),
            _ => Err(Answer::Nothing),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Answer> {
        match self.steps.split_first() {
            Some((_, rest)) => seed.deserialize(Probe { steps: rest }),
            None => Err(Answer::Nothing),
        }
    }
}

#[cfg(test)]
mod tests;
