//! `multipart/form-data`, part by part as it arrives.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use s3s::StdError;

use crate::limits::FORM_FIELDS_MAX_BYTES;

/// The form before the file: names in lower case, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) all: Vec<(String, String)>,
    /// What the file was called where it came from.
    pub(super) file_name: String,
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a form part by part.
pub(super) struct Reader<S> {
    source: S,
    buffer: BytesMut,
    /// What ends a part: a line end, two dashes and the boundary.
    end: Vec<u8>,
    /// The form's last bytes are in the buffer.
    over: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    #[error("the form is malformed: MalformedPOSTRequest")]
    Malformed,
    #[error("the file is larger than the policy allows: EntityTooLarge")]
    TooLarge,
    #[error("the file is smaller than the policy allows: EntityTooSmall")]
    TooSmall,
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|there| there == wanted)
}

impl<S: Stream<Item = Result<Bytes, StdError>> + Unpin> Reader<S> {
    pub(super) fn new(source: S, boundary: &str) -> Reader<S> {
        let end = format!("\r\n--{boundary}").into_bytes();
        // The first boundary has no line end before it.
        Reader { source, buffer: BytesMut::from("\r\n"), end, over: false }
    }

    async fn more(&mut self) -> Result<(), StdError> {
        match self.source.next().await {
            Some(chunk) => self.buffer.extend_from_slice(&chunk?),
            None if self.over => return Err(Bad::Malformed.into()),
            None => self.over = true,
        }
        Ok(())
    }

    /// The next bytes of the part; `None` at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, StdError> {
        loop {
            if let Some(at) = position(&self.buffer, &self.end) {
                if at > 0 {
                    return Ok(Some(self.buffer.split_to(at).freeze()));
                }
                return Ok(None);
            }
            // The boundary may have begun in the last bytes.
            let sure = self.buffer.len().saturating_sub(self.end.len());
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.more().await?;
        }
    }

    async fn whole(&mut self, left: &mut usize) -> Result<Vec<u8>, StdError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            *left = left.checked_sub(piece.len()).ok_or(Bad::Malformed)?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// A line of a part's head, without its end.
    async fn line(&mut self, left: &mut usize) -> Result<String, StdError> {
        loop {
            if let Some(at) = position(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(at + 2);
                *left = left.checked_sub(line.len()).ok_or(Bad::Malformed)?;
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.buffer.len() > *left {
                return Err(Bad::Malformed.into());
            }
            self.more().await?;
        }
    }

    /// Goes past a boundary. Whether another part follows.
    async fn next(&mut self) -> Result<bool, StdError> {
        let size = self.end.len() + 2;
        while self.buffer.len() < size {
            self.more().await?;
        }
        let passed = self.buffer.split_to(size);
        match &passed[self.end.len()..] {
            b"\r\n" => Ok(true),
            b"--" => Ok(false),
            _ => Err(Bad::Malformed.into()),
        }
    }

    /// Everything up to the file, at whose first byte the reader is then.
    pub(super) async fn fields(&mut self) -> Result<Option<Fields>, StdError> {
        let mut left = FORM_FIELDS_MAX_BYTES;
        let mut fields = Fields::default();
        self.whole(&mut left).await?;
        while self.next().await? {
            let (mut name, mut file_name, mut kind) = (None, None, None);
            loop {
                let line = self.line(&mut left).await?;
                if line.is_empty() {
                    break;
                }
                let Some((head, value)) = line.split_once(':') else { continue };
                match head.trim().to_ascii_lowercase().as_str() {
                    "content-disposition" => {
                        name = parameter(value, "name");
                        file_name = parameter(value, "filename");
                    }
                    "content-type" => kind = Some(value.trim().to_owned()),
                    _ => {}
                }
            }
            let name = name.ok_or(Bad::Malformed)?.to_ascii_lowercase();
            // Some clients give every field a file name; the name alone tells which one is the file.
            if name == "file" {
                fields.file_name = file_name.unwrap_or_default();
                if let Some(kind) = kind
                    && fields.get("content-type").is_none()
                {
                    fields.all.push((":file-type".to_owned(), kind));
                }
                return Ok(Some(fields));
            }
            let value = self.whole(&mut left).await?;
            fields.all.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
        Ok(None)
    }

    /// The file, which must have a size within `range`.
    pub(super) fn file(self, range: (u64, u64)) -> impl Stream<Item = Result<Bytes, StdError>> {
        futures::stream::try_unfold((self, 0_u64), move |(mut reader, mut size)| async move {
            let piece = reader.piece().await?;
            size += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            if size > range.1 {
                return Err(Bad::TooLarge.into());
            }
            match piece {
                Some(piece) => Ok(Some((piece, (reader, size)))),
                None if size < range.0 => Err(Bad::TooSmall.into()),
                None => Ok(None),
            }
        })
    }
}

/// A parameter of a header: `name="value"` or `name=value`.
pub(super) fn parameter(header: &str, wanted: &str) -> Option<String> {
    for part in header.split(';').skip(1) {
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_assume, proptest};

    use super::*;

    async fn parsed(form: &[u8], size: usize) -> Result<(Fields, Vec<u8>), StdError> {
        let chunks: Vec<Result<Bytes, StdError>> =
            form.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut reader = Reader::new(futures::stream::iter(chunks), "b");
        let fields = reader.fields().await?.ok_or(Bad::Malformed)?;
        let mut file = Vec::new();
        let mut pieces = Box::pin(reader.file((0, 100)));
        while let Some(piece) = pieces.next().await {
            file.extend_from_slice(&piece?);
        }
        Ok((fields, file))
    }

    #[tokio::test]
    async fn a_form_is_read_however_it_arrives() {
        let form = b"--b\r\nContent-Disposition: form-data; name=\"Key\"; filename=\"x\"\r\n\r\n${filename}\r\n--b\r\n\
            Content-Disposition: form-data; name=file; filename=a.txt\r\nContent-Type: text/plain\r\n\r\n\
            one\r\n--two\r\n\r\n--b--\r\n";
        for size in [1, 2, 7, 1000] {
            let (fields, file) = parsed(form, size).await.unwrap();
            assert_eq!(fields.get("key"), Some("${filename}"));
            assert_eq!(fields.file_name, "a.txt");
            assert_eq!(file, b"one\r\n--two\r\n", "in pieces of {size}");
        }
        for cut in 0..form.len() - 4 {
            assert!(parsed(&form[..cut], 5).await.is_err(), "{cut}");
        }
    }

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// A form as a browser writes it.
    fn written(fields: &[(String, String)], file: &[u8]) -> Vec<u8> {
        let mut form = Vec::new();
        for (name, value) in fields {
            let head = "--b\r\nContent-Disposition: form-data; name=";
            form.extend(format!("{head}\"{name}\"\r\n\r\n{value}\r\n").into_bytes());
        }
        let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
        form.extend(head.as_bytes());
        form.extend(file);
        form.extend(b"\r\n--b--\r\n");
        form
    }

    proptest! {
        #[test]
        fn a_form_comes_out_as_it_was_written(
            fields in prop::collection::vec(("x-[a-z-]{1,12}", "[^\r\n]{0,30}"), 0..5),
            file in prop::collection::vec(any::<u8>(), 0..100),
            step in 1_usize..200,
        ) {
            // A boundary that occurs in what it bounds is the writer's mistake.
            prop_assume!(position(&file, b"\r\n--b").is_none());
            let (read, bytes) = block(parsed(&written(&fields, &file), step)).unwrap();
            prop_assert_eq!(read.all, fields);
            prop_assert_eq!(bytes, file);
        }

        #[test]
        fn a_form_that_is_cut_short_is_never_whole(
            file in prop::collection::vec(any::<u8>(), 0..50), cut in 0_usize..200, step in 1_usize..50,
        ) {
            let whole = written(&[("key".to_owned(), "k".to_owned())], &file);
            let end = whole.len() - "--\r\n".len();
            prop_assume!(cut < end && position(&file, b"\r\n--b").is_none());
            prop_assert!(block(parsed(&whole[..cut], step)).is_err());
        }

        #[test]
        fn any_bytes_are_a_form_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            parts in "(--b(\r\n|--)|Content-Disposition:|form-data; ?|name=\"?[a-z;=\"]{0,6}|\r\n){0,20}",
            step in 1_usize..50,
        ) {
            // Only that it ends, without a panic.
            drop(block(parsed(&bytes, step)));
            drop(block(parsed(parts.as_bytes(), step)));
        }
    }
}
