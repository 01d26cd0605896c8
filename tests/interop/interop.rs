// SPDX-License-Identifier: Apache-2.0
// See README.md for what goes in and what comes out.
use base64::prelude::{Engine, BASE64_STANDARD};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use hdrhistogram::Histogram;
use std::error::Error;
use std::io::{stdin, BufRead, Cursor};

fn read(text: &str) -> Result<String, Box<dyn Error>> {
    let bytes = BASE64_STANDARD.decode(text)?;
    let h: Histogram<u64> = Deserializer::new().deserialize(&mut Cursor::new(bytes))?;
    Ok(format!(
        r#"{{"total": {}, "p50": {}, "p90": {}, "p95": {}, "p99": {}}}"#,
        h.len(),
        h.value_at_quantile(0.5),
        h.value_at_quantile(0.9),
        h.value_at_quantile(0.95),
        h.value_at_quantile(0.99)
    ))
}

fn make<'a>(values: impl Iterator<Item = &'a str>) -> Result<String, Box<dyn Error>> {
    let mut h = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 2)?;
    for value in values {
        h.record(value.parse()?)?;
    }
    let mut out = Vec::new();
    V2DeflateSerializer::new().serialize(&h, &mut out)?;
    Ok(BASE64_STANDARD.encode(out))
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        match words.next() {
            Some("read") => println!("{}", read(words.next().ok_or("read what?")?)?),
            _ => println!("{}", make(words)?),
        }
    }
    Ok(())
}
