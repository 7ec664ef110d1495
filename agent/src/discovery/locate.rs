//! Finds the line of a field in the text of a YAML document.
//!
//! Objects are read from a parsed value, which knows no lines. To find one, the text is read again
//! by a visitor that walks down the path and fails on purpose where it ends: the parser attaches
//! the position to that failure. Only problems pay for it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::field_path::{FieldPath, Step};

/// Message of the deliberate failure.
const FOUND: &str = "the end of the path";

/// Line (counted from 1) of the field at `path`, or of its nearest ancestor that exists. `None` when
/// the text is no YAML document.
pub fn line_of(text: &str, path: &FieldPath) -> Option<usize> {
    let mut steps = path.steps();
    loop {
        let seek = Seek { steps };
        match seek.deserialize(serde_yaml_ng::Deserializer::from_str(text)) {
            Err(error) if error.to_string().contains(FOUND) => return error.location().map(|place| place.line()),
            Err(_) => return None,
            Ok(()) => steps = steps.split_last()?.1,
        }
    }
}

/// Walks down `steps` and fails at their end; succeeds when they lead nowhere.
struct Seek<'a> {
    steps: &'a [Step],
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    fn scalar<E: Error>(&self) -> Result<(), E> {
        if self.steps.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Err(A::Error::custom(FOUND)) };
        let Step::Key(wanted) = step else { return drain_map(map) };
        while let Some(is_it) = map.next_key_seed(Key { wanted, is_last: rest.is_empty() })? {
            if is_it {
                map.next_value_seed(Seek { steps: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Err(A::Error::custom(FOUND)) };
        let mut position = 0;
        loop {
            let more = if *step == Step::Index(position) {
                sequence.next_element_seed(Seek { steps: rest })?
            } else {
                sequence.next_element::<IgnoredAny>()?.map(|_| ())
            };
            if more.is_none() {
                return Ok(());
            }
            position += 1;
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Compares a key; fails on the last one, so that the position is the key's, not its value's
/// (which may stand lines below).
struct Key<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.is_last => Err(E::custom(FOUND)),
            is_it => Ok(is_it),
        }
    }
}

#[cfg(test)]
mod tests;
