//! Protocol Buffers as they stand in bytes: <https://protobuf.dev/programming-guides/encoding/>. Fields are handed out one
//! by one; a message inside another is only looked at when the caller asks for it, so that nothing recurses.

/// What stands in a field. Groups (wire types 3 and 4) exist in no file that this program reads: they are malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire<'bytes> {
    Varint(u64),
    Bytes(&'bytes [u8]),
    /// Four or eight bytes.
    Fixed,
}

/// The fields of a message, with their numbers; `None` once where it is malformed, and nothing after that.
pub(crate) struct Fields<'bytes> {
    rest: &'bytes [u8],
}

pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// The first field of this number that holds bytes; `None` when there is none or the message is malformed before it.
pub(crate) fn bytes_of(message: &[u8], number: u64) -> Option<&[u8]> {
    fields(message).map_while(|field| field).find_map(|field| match field {
        (found, Wire::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

/// The first field of this number that holds a number.
pub(crate) fn varint_of(message: &[u8], number: u64) -> Option<u64> {
    fields(message).map_while(|field| field).find_map(|field| match field {
        (found, Wire::Varint(value)) if found == number => Some(value),
        _ => None,
    })
}

impl<'bytes> Iterator for Fields<'bytes> {
    type Item = Option<(u64, Wire<'bytes>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = take_field(&mut self.rest);
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn take_field<'bytes>(rest: &mut &'bytes [u8]) -> Option<(u64, Wire<'bytes>)> {
    let tag = take_varint(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Varint(take_varint(rest)?),
        1 => {
            *rest = rest.get(8..)?;
            Wire::Fixed
        }
        2 => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            let (taken, after) = rest.split_at_checked(length)?;
            *rest = after;
            Wire::Bytes(taken)
        }
        5 => {
            *rest = rest.get(4..)?;
            Wire::Fixed
        }
        _ => return None,
    };
    // There is no field 0.
    Some((tag >> 3, wire)).filter(|(number, _)| *number != 0)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_the_order_of_the_bytes() {
        let bytes = b"\x08\xac\x02\x12\x02hi\x1d1234\x21\x00\x01\x02\x03\x04\x05\x06\x07";
        let found: Option<Vec<_>> = fields(bytes).collect();
        let expected = vec![
            (1, Wire::Varint(300)),
            (2, Wire::Bytes(b"hi")),
            (3, Wire::Fixed),
            (4, Wire::Fixed),
        ];
        assert_eq!(found, Some(expected));
        assert_eq!((varint_of(bytes, 1), bytes_of(bytes, 2)), (Some(300), Some(&b"hi"[..])));
        assert_eq!((varint_of(bytes, 2), bytes_of(bytes, 1)), (None, None), "of the other kind");
    }

    #[test]
    fn malformed_messages_end_with_a_none() {
        for bytes in [&b"\x08"[..], b"\x12\x05hi", b"\x0b", b"\x00\x01", b"\x1d123", &[0xFF; 12]] {
            let found: Vec<_> = fields(bytes).collect();
            assert_eq!(found, [None], "{bytes:?}");
        }
    }
}
