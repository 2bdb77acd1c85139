//! AWS's event stream: frames in a long answer (Smithy specification, "Amazon Event Stream").

use bytes::{BufMut as _, Bytes, BytesMut};

/// The content type of such an answer.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Lengths (twice) and the checksum of both.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// A header whose value is a text.
const TEXT: u8 = 7;

/// An event of this type, with a JSON payload.
pub fn event(kind: &str, payload: &serde_json::Value) -> Bytes {
    let headers =
        [(":message-type", "event"), (":event-type", kind), (":content-type", "application/json")];
    frame(&headers, payload)
}

/// The end of a stream by an exception of this type.
pub fn exception(kind: &str, payload: &serde_json::Value) -> Bytes {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", kind),
        (":content-type", "application/json"),
    ];
    frame(&headers, payload)
}

fn frame(headers: &[(&str, &str)], payload: &serde_json::Value) -> Bytes {
    let mut written = BytesMut::new();
    for (name, value) in headers {
        written.put_u8(u8::try_from(name.len()).expect("our names are short"));
        written.put_slice(name.as_bytes());
        written.put_u8(TEXT);
        written.put_u16(u16::try_from(value.len()).expect("our values are short"));
        written.put_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let total = PRELUDE_BYTES + written.len() + payload.len() + CHECKSUM_BYTES;
    let mut frame = BytesMut::with_capacity(total);
    frame.put_u32(u32::try_from(total).expect("a frame is far below 4 GiB"));
    frame.put_u32(u32::try_from(written.len()).expect("a few short headers"));
    frame.put_u32(crc32fast::hash(&frame));
    frame.put(written);
    frame.put_slice(payload.as_bytes());
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_lengths_and_checksums() {
        let frame = event("initial-response", &serde_json::json!({}));
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, frame.len());
        assert_eq!(number(8), crc32fast::hash(&frame[..8]));
        assert_eq!(number(frame.len() - 4), crc32fast::hash(&frame[..frame.len() - 4]));
        let payload = 12 + number(4) as usize;
        assert_eq!(&frame[payload..frame.len() - 4], b"{}");
        assert_eq!(&frame[12..27], b"\x0d:message-type\x07");
    }
}
