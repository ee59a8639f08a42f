//! As much CBOR (RFC 8949) as `GetMetricData` needs: JSON values there and back, instants as tag 1.

use serde_json::{Map, Value, json};

fn head(major: u8, n: u64, out: &mut Vec<u8>) {
    match n {
        0..=23 => out.push(major << 5 | n as u8),
        24..=0xff => out.extend([major << 5 | 24, n as u8]),
        0x100..=0xffff => {
            out.push(major << 5 | 25);
            out.extend((n as u16).to_be_bytes());
        }
        _ => {
            out.push(major << 5 | 26);
            out.extend((n as u32).to_be_bytes());
        }
    }
}

fn float(v: f64, out: &mut Vec<u8>) {
    out.push(0xfb);
    out.extend(v.to_be_bytes());
}

/// Writes a value; numbers in `Timestamps` become instants (seconds), all other numbers doubles.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(b) => out.push(if *b { 0xf5 } else { 0xf4 }),
        Value::Number(n) => float(n.as_f64().unwrap(), out),
        Value::String(s) => {
            head(3, s.len() as u64, out);
            out.extend(s.as_bytes());
        }
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Object(map) => {
            head(5, map.len() as u64, out);
            for (key, item) in map {
                encode(&json!(key), out);
                match item {
                    Value::Array(times) if key == "Timestamps" => {
                        head(4, times.len() as u64, out);
                        for time in times {
                            out.push(0xc1);
                            float(time.as_f64().unwrap(), out);
                        }
                    }
                    // CloudWatch says NaN in CBOR; JSON has no word for it.
                    Value::Array(values) if key == "Values" && values.contains(&json!("NaN")) => {
                        head(4, values.len() as u64, out);
                        values.iter().for_each(|v| float(v.as_f64().unwrap_or(f64::NAN), out));
                    }
                    item => encode(item, out),
                }
            }
        }
    }
}

/// Reads one value; tags are dropped.
pub fn decode(bytes: &[u8]) -> Value {
    Reader { bytes, at: 0 }.value().expect("an item, not a break")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, n: usize) -> &[u8] {
        self.at += n;
        &self.bytes[self.at - n..self.at]
    }

    fn number(&mut self, info: u8) -> Option<u64> {
        Some(match info {
            0..=23 => u64::from(info),
            24 => u64::from(self.take(1)[0]),
            25 => u64::from(u16::from_be_bytes(self.take(2).try_into().unwrap())),
            26 => u64::from(u32::from_be_bytes(self.take(4).try_into().unwrap())),
            27 => u64::from_be_bytes(self.take(8).try_into().unwrap()),
            _ => return None,
        })
    }

    /// None: the break that ends an item of unknown length.
    fn value(&mut self) -> Option<Value> {
        let first = self.take(1)[0];
        let (major, info) = (first >> 5, first & 31);
        if first == 0xff {
            return None;
        }
        let n = self.number(info);
        Some(match major {
            0 => json!(n.unwrap()),
            1 => json!(-1 - i64::try_from(n.unwrap()).unwrap()),
            2 | 3 => json!(String::from_utf8(self.take(n.unwrap() as usize).to_vec()).unwrap()),
            4 => {
                let mut items = Vec::new();
                while n.is_none_or(|n| items.len() < n as usize) {
                    let Some(item) = self.value() else { break };
                    items.push(item);
                }
                Value::Array(items)
            }
            5 => {
                let mut map = Map::new();
                while n.is_none_or(|n| map.len() < n as usize) {
                    let Some(key) = self.value() else { break };
                    map.insert(key.as_str().unwrap().to_owned(), self.value().unwrap());
                }
                Value::Object(map)
            }
            6 => self.value().unwrap(),
            _ => match info {
                20 => json!(false),
                21 => json!(true),
                26 => json!(f32::from_bits(n.unwrap() as u32)),
                27 => json!(f64::from_bits(n.unwrap())),
                _ => Value::Null,
            },
        })
    }
}
