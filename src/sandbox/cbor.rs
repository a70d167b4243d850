//! CBOR, in which the SDK speaks with CloudWatch
//! (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>): what it says becomes JSON, and answers in JSON
//! become CBOR.

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::decode::DeserializeError;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use serde_json::{Map, Value};

/// The header that says so, and what it says.
const PROTOCOL: (&str, &str) = ("smithy-protocol", "rpc-v2-cbor");

/// How deep lists and maps of a request may lie inside of each other: CloudWatch's own go no deeper than ten.
const DEPTH: usize = 16;

/// Whether a request is written so, and wants its answer so.
pub(super) fn is_spoken_by(request: &HttpRequest) -> bool {
    request.headers().get(PROTOCOL.0) == Some(PROTOCOL.1)
}

/// The operation: `/service/SERVICE/operation/OPERATION`.
pub(super) fn operation(request: &HttpRequest) -> Option<&str> {
    let path = request.uri().split('?').next()?;
    path.rsplit_once("/operation/").map(|(_, operation)| operation)
}

/// What the bytes of a request say.
///
/// # Errors
/// They are not CBOR, or hold what has no counterpart in JSON.
pub(super) fn read(bytes: &[u8]) -> Result<Value, DeserializeError> {
    value(&mut Decoder::new(bytes), DEPTH)
}

fn value(from: &mut Decoder<'_>, depth: usize) -> Result<Value, DeserializeError> {
    let Some(below) = depth.checked_sub(1) else {
        return Err(DeserializeError::custom("it is nested too deep", from.position()));
    };
    Ok(match from.datatype()? {
        Type::String | Type::StringIndef => from.string()?.into(),
        Type::Bool => from.boolean()?.into(),
        Type::F16 | Type::F32 | Type::F64 => from.double()?.into(),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => from.long()?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => from.long()?.into(),
        Type::Tag => from.timestamp()?.as_secs_f64().into(),
        Type::Null => {
            from.null()?;
            Value::Null
        }
        Type::Array | Type::ArrayIndef => {
            let (mut items, mut left) = (Vec::new(), from.list()?);
            while more(from, &mut left)? {
                items.push(value(from, below)?);
            }
            Value::Array(items)
        }
        Type::Map | Type::MapIndef => {
            let (mut fields, mut left) = (Map::new(), from.map()?);
            while more(from, &mut left)? {
                let name = from.string()?;
                fields.insert(name, value(from, below)?);
            }
            Value::Object(fields)
        }
        other => {
            let what = format!("{other:?} has no counterpart in JSON");
            return Err(DeserializeError::custom(what, from.position()));
        }
    })
}

/// Whether a list or map goes on: it says how much it holds, or where it ends.
fn more(from: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, DeserializeError> {
    if let Some(left) = left {
        let goes_on = *left > 0;
        *left = left.saturating_sub(1);
        return Ok(goes_on);
    }
    let ends = from.datatype()? == Type::Break;
    if ends {
        from.skip()?;
    }
    Ok(!ends)
}

/// The same answer in CBOR. One that is not JSON stays as it is.
pub(super) fn translate(mut answer: HttpResponse) -> HttpResponse {
    let json = answer.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok());
    let Some(json) = json else { return answer };
    let bytes = write(&json);
    let headers = answer.headers_mut();
    headers.insert("content-type", "application/cbor");
    headers.insert("content-length", bytes.len().to_string());
    headers.insert(PROTOCOL.0, PROTOCOL.1);
    *answer.body_mut() = SdkBody::from(bytes);
    answer
}

fn write(json: &Value) -> Vec<u8> {
    let mut to = Encoder::new(Vec::new());
    put(&mut to, json);
    to.into_writer()
}

fn put(to: &mut Encoder, json: &Value) {
    match json {
        Value::Null => _ = to.null(),
        Value::Bool(flag) => _ = to.boolean(*flag),
        Value::String(text) => _ = to.str(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => _ = to.long(whole),
            None => _ = to.double(number.as_f64().unwrap_or_default()),
        },
        Value::Array(items) => {
            to.array(items.len());
            for item in items {
                put(to, item);
            }
        }
        Value::Object(fields) => {
            to.map(fields.len());
            for (name, value) in fields {
                to.str(name);
                // In JSON a time is a number of seconds, in CBOR it says of itself that it is one.
                match value.as_f64().filter(|_| name.ends_with("Timestamp")) {
                    Some(seconds) => _ = to.timestamp(&DateTime::from_secs_f64(seconds)),
                    None => put(to, value),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back() {
        let json = json!({
            "AlarmNames": ["a", "復"], "MaxRecords": 100, "Threshold": -2.5, "Small": -7, "On": true,
            "Nothing": null, "StateUpdatedTimestamp": 1_795_984_627.5, "Empty": {}, "None": [],
        });
        assert_eq!(read(&write(&json)).unwrap(), json);
    }

    #[test]
    fn a_map_and_a_list_of_unknown_length_end_where_they_say() {
        let mut to = Encoder::new(Vec::new());
        to.begin_map().str("AlarmNames").begin_array().str("a").str("b").end().end();
        assert_eq!(read(&to.into_writer()).unwrap(), json!({ "AlarmNames": ["a", "b"] }));
    }

    #[test]
    fn what_is_broken_off_too_deep_or_no_json_is_refused() {
        let whole = write(&json!({ "AlarmNames": ["a"] }));
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(read(&[0x81; 100_000]).is_err(), "lists in lists");
        assert!(read(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(read(&[0x41, 0]).is_err(), "bytes");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = read(&bytes) {
                // A number that JSON does not have (infinity) is written as null.
                let again = write(&value);
                prop_assert!(read(&again).is_ok());
            }
        }
    }
}
