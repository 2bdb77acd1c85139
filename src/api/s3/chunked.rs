//! Decodes `aws-chunked` bodies of requests whose signature cannot be verified. (`s3s` decodes the others.)
//!
//! `hex-size[;chunk-signature=…] CRLF bytes CRLF`, again and again, a chunk of size zero, then lines
//! `name:value CRLF` and an empty line. Some clients end with one CRLF more or less than that.

use std::sync::{Arc, Mutex};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{S3Result, StdError, s3_error};

use super::request::Trailers;
use crate::limits::CHUNK_LINE_MAX_BYTES;

/// Why a body is not what the framing says.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFraming {
    #[error("the aws-chunked body ends in the middle: Incomplete")]
    Incomplete,
    #[error("the aws-chunked body is malformed: FormatError")]
    Malformed,
}

enum State {
    /// At a chunk's head.
    Head,
    /// So many bytes of a chunk are to come.
    Bytes(u64),
    /// At the CRLF behind a chunk.
    Behind,
    Trailers,
    End,
}

struct Decoder<S> {
    source: S,
    buffer: BytesMut,
    state: State,
    trailers: Arc<Mutex<HeaderMap>>,
}

/// Takes the framing off, if there is one, and says where its trailers will be.
pub(super) fn decode(
    request: http::Request<s3s::Body>,
) -> S3Result<(http::Request<s3s::Body>, Trailers)> {
    let sha256 = request.headers().get("x-amz-content-sha256");
    if !sha256.is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-")) {
        return Ok((request, Trailers::None));
    }
    if request.headers().get("x-amz-decoded-content-length").is_none() {
        return Err(s3_error!(
            MissingContentLength,
            "You must provide the Content-Length HTTP header."
        ));
    }
    let trailers = Arc::new(Mutex::new(HeaderMap::new()));
    let handle = Trailers::Unverified(Arc::clone(&trailers));
    let request = request.map(|body| {
        let buffer = BytesMut::new();
        let decoder = Decoder { source: body, buffer, state: State::Head, trailers };
        let frames = decoder.stream().map(|chunk| chunk.map(Frame::data));
        s3s::Body::http_body_unsync(StreamBody::new(frames))
    });
    Ok((request, handle))
}

impl<S: Stream<Item = Result<Bytes, StdError>> + Unpin> Decoder<S> {
    fn stream(self) -> impl Stream<Item = Result<Bytes, StdError>> {
        futures::stream::try_unfold(self, |mut decoder| async move {
            Ok(decoder.next().await?.map(|bytes| (bytes, decoder)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StdError> {
        loop {
            match self.state {
                State::Head => {
                    let line = self.line().await?.ok_or(BadFraming::Incomplete)?;
                    self.state = match size(&line)? {
                        0 => State::Trailers,
                        size => State::Bytes(size),
                    };
                }
                State::Bytes(0) => self.state = State::Behind,
                State::Bytes(left) => {
                    if self.buffer.is_empty() && !self.more().await? {
                        return Err(BadFraming::Incomplete.into());
                    }
                    let size = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    self.state = State::Bytes(left - size as u64);
                    return Ok(Some(self.buffer.split_to(size).freeze()));
                }
                State::Behind => match self.line().await? {
                    Some(line) if line.is_empty() => self.state = State::Head,
                    Some(_) => return Err(BadFraming::Malformed.into()),
                    None => return Err(BadFraming::Incomplete.into()),
                },
                State::Trailers => match self.line().await? {
                    Some(line) if !line.is_empty() => self.keep(&line)?,
                    Some(_) | None => self.state = State::End,
                },
                State::End => {
                    // What follows is at most a line end too many.
                    while self.more().await? {
                        self.buffer.clear();
                    }
                    return Ok(None);
                }
            }
        }
    }

    async fn more(&mut self) -> Result<bool, StdError> {
        let Some(bytes) = self.source.next().await.transpose()? else { return Ok(false) };
        self.buffer.extend_from_slice(&bytes);
        Ok(true)
    }

    /// The next line without its CRLF; `None` when there is nothing any more.
    async fn line(&mut self) -> Result<Option<Bytes>, StdError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line.freeze()));
            }
            if self.buffer.len() > CHUNK_LINE_MAX_BYTES {
                return Err(BadFraming::Malformed.into());
            }
            if !self.more().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(BadFraming::Incomplete.into());
            }
        }
    }

    fn keep(&self, line: &[u8]) -> Result<(), BadFraming> {
        let at = line.iter().position(|byte| *byte == b':').ok_or(BadFraming::Malformed)?;
        let (name, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
        let name = HeaderName::from_bytes(name).map_err(|_| BadFraming::Malformed)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| BadFraming::Malformed)?;
        self.trailers.lock().expect("nobody panics with trailers in hand").insert(name, value);
        Ok(())
    }
}

fn size(line: &[u8]) -> Result<u64, BadFraming> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = std::str::from_utf8(digits.trim_ascii()).map_err(|_| BadFraming::Malformed)?;
    u64::from_str_radix(digits, 16).map_err(|_| BadFraming::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn decoded(framed: &'static [u8], step: usize) -> Result<(Vec<u8>, HeaderMap), StdError> {
        let pieces: Vec<Result<Bytes, StdError>> =
            framed.chunks(step).map(|piece| Ok(Bytes::from_static(piece))).collect();
        let trailers = Arc::new(Mutex::new(HeaderMap::new()));
        let decoder = Decoder {
            source: futures::stream::iter(pieces),
            buffer: BytesMut::new(),
            state: State::Head,
            trailers: Arc::clone(&trailers),
        };
        let mut whole = Vec::new();
        let mut stream = std::pin::pin!(decoder.stream());
        while let Some(bytes) = stream.next().await {
            whole.extend_from_slice(&bytes?);
        }
        let trailers = trailers.lock().unwrap().clone();
        Ok((whole, trailers))
    }

    #[tokio::test]
    async fn what_botocore_sends_is_decoded_however_it_is_cut() {
        let framed = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n\r\n";
        for step in 1..=framed.len() {
            let (bytes, trailers) = decoded(framed, step).await.unwrap();
            assert_eq!(bytes, b"hello");
            assert_eq!(trailers["x-amz-checksum-crc32"], "NhCmhg==");
        }
    }

    #[tokio::test]
    async fn signed_chunks_are_decoded_and_a_cut_body_is_not() {
        let framed = b"3;chunk-signature=ab\r\nabc\r\n2;chunk-signature=cd\r\nde\r\n0;chunk-signature=ef\r\n\r\n";
        assert_eq!(decoded(framed, 7).await.unwrap().0, b"abcde");
        decoded(&framed[..26], 7).await.unwrap_err();
        decoded(b"zz\r\nabc", 7).await.unwrap_err();
    }
}
